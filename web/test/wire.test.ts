import { describe, expect, it } from 'vitest'
import * as wire from '../src/lib/wire'

function bytes(buffer: ArrayBuffer): number[] {
  return [...new Uint8Array(buffer)]
}

function message(kind: number, ...rest: number[]): ArrayBuffer {
  return new Uint8Array([kind, ...rest]).buffer
}

const u64 = (n: number): number[] => [n & 255, (n >> 8) & 255, (n >> 16) & 255, 0, 0, 0, 0, 0]

describe('what is sent', () => {
  it('is little-endian after one byte of kind', () => {
    expect(bytes(wire.audio(258, Int16Array.of(1, -2)))).toEqual([0x02, 2, 1, 0, 0, 0, 0, 0, 0, 1, 0, 254, 255])
    expect(bytes(wire.played(3, 256))).toEqual([0x03, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0])
    expect(bytes(wire.ping(7))).toEqual([0x05, ...u64(7)])
  })

  it('keeps positions past 32 bits', () => {
    const far = 2 ** 40 + 5
    const pong = bytes(wire.ping(far))
    pong[0] = 0x87
    expect(wire.read(new Uint8Array(pong).buffer)).toEqual({ kind: 'pong', stamp: far })
  })

  it('is JSON in hello and control', () => {
    const said = bytes(wire.control('text', { text: 'é' }))
    expect(said[0]).toBe(0x04)
    expect(JSON.parse(new TextDecoder().decode(new Uint8Array(said.slice(1))))).toEqual({ type: 'text', text: 'é' })
    expect(bytes(wire.hello({ version: 1, format: 'pcm16', rate: 48000, record: false }))[0]).toBe(0x01)
  })
})

describe('what is read', () => {
  it('is sound with its positions', () => {
    const got = wire.read(message(0x82, ...u64(1920), 3, 0, 0, 0, ...u64(960), 255, 127, 0, 128))
    expect(got).toEqual({ kind: 'sound', start: 1920, epoch: 3, heard: 960, pcm: Int16Array.of(32767, -32768) })
  })

  it('is a flush, an acknowledgement and JSON', () => {
    expect(wire.read(message(0x84, 2, 0, 0, 0, ...u64(77)))).toEqual({ kind: 'flush', epoch: 2, start: 77 })
    expect(wire.read(message(0x85, ...u64(640)))).toEqual({ kind: 'got', upto: 640 })
    const text = [...new TextEncoder().encode('{"type":"floor","holder":"both"}')]
    expect(wire.read(message(0x83, ...text))).toEqual({ kind: 'event', body: { type: 'floor', holder: 'both' } })
  })

  it('is refused where it is cut short, and named where it is unknown', () => {
    expect(() => wire.read(message(0x84, 1, 2))).toThrow(RangeError)
    expect(() => wire.read(message(0x88, 123))).toThrow(SyntaxError)
    expect(() => wire.read(new ArrayBuffer(0))).toThrow(RangeError)
    expect(wire.read(message(0x99))).toEqual({ kind: 'unknown', code: 0x99 })
  })
})
