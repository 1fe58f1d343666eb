/** Where the delay comes from: what the page measures, what the browser says, and what the server measured. */
import type { Stats } from './wire'

/** Seconds of sound in one message to the server. */
export const CHUNK = 0.02

export interface Stage {
  name: string
  ms: number
  by: 'page' | 'browser' | 'server'
}

export interface Known {
  /** Seconds; null where nobody says. */
  microphone: number | null
  chunk: number
  trip: number | null
  waiting: number
  speaker: number
}

const NAMES: Record<string, string> = {
  receive: 'Reading',
  queue: 'Queue',
  step: 'Model step',
  emit: 'Handing over',
  send: 'Sending',
}

const plain = (name: string): string =>
  NAMES[name] ?? (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll('_', ' ')

/** One row per stage, in the order that sound takes. */
export function budget(known: Known, stats: Stats | null): Stage[] {
  const stages: Stage[] = []
  const add = (name: string, seconds: number | null, by: Stage['by']): void => {
    if (seconds !== null) stages.push({ name, ms: 1000 * seconds, by })
  }
  add('Microphone', known.microphone, 'browser')
  add('Message of 20 ms', known.chunk, 'page')
  add('Network, there', known.trip === null ? null : known.trip / 2, 'page')
  for (const [name, ms] of Object.entries(stats?.stages ?? {})) {
    if (Number.isFinite(ms)) stages.push({ name: plain(name), ms, by: 'server' })
  }
  add('Network, back', known.trip === null ? null : known.trip / 2, 'page')
  add('Jitter buffer', known.waiting, 'page')
  add('Loudspeaker', known.speaker, 'browser')
  return stages
}

export const total = (stages: Stage[]): number => stages.reduce((sum, { ms }) => sum + ms, 0)
