import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'
import type { Plugin } from 'vite'

const OUT = '../oration/serve/page'
const SOURCES = ['index.html', 'package-lock.json', 'public', 'src', 'svelte.config.js', 'vite.config.ts']

function files(path: string): string[] {
  return statSync(path).isDirectory() ? readdirSync(path).flatMap((name) => files(join(path, name))) : [path]
}

/** Writes down what the page was built from, so that a test without Node sees when it was forgotten. */
function stamp(): Plugin {
  return {
    name: 'stamp',
    apply: 'build',
    closeBundle() {
      const hash = createHash('sha256')
      for (const path of SOURCES.flatMap(files).sort()) hash.update(`${path}\n`).update(readFileSync(path))
      writeFileSync(join(OUT, 'built-from.txt'), `${hash.digest('hex')}\n`)
    },
  }
}

const server = process.env.ORATION ?? 'http://127.0.0.1:8710'

export default defineConfig({
  base: './',
  plugins: [svelte(), stamp()],
  server: {
    proxy: {
      '/v1': { target: server, ws: true, changeOrigin: true, rewriteWsOrigin: true },
      '/health': server,
      '/metrics': server,
    },
  },
  test: { testTimeout: 60_000 },
  worker: { format: 'es', rollupOptions: { output: { entryFileNames: 'assets/[name]-[hash].js' } } },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: 'es2022',
    // Nothing inline: the server's content security policy allows files of its own only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
