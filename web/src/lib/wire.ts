/** The compact protocol `oration.1` as bytes: little-endian, one byte that says the kind, then its fields. */

export const SUBPROTOCOL = 'oration.1'

const Kind = {
  hello: 0x01,
  audio: 0x02,
  played: 0x03,
  control: 0x04,
  ping: 0x05,
  welcome: 0x81,
  sound: 0x82,
  event: 0x83,
  flush: 0x84,
  got: 0x85,
  error: 0x86,
  pong: 0x87,
  stats: 0x88,
} as const

export interface Hello {
  version: 1
  format: 'pcm16'
  rate: number
  record: boolean
  token?: string
  resume?: { session: string; key: string; received: number; events: number }
}

export interface Welcome {
  session: string
  key: string
  rate: number
  frame: number
  engine: string
  delay: number
  input: number
  output: number
  events?: number
  resumed: boolean
}

export interface ServerEvent {
  type: string
  /** Its number among the session's events. */
  n?: number
  epoch?: number
  heard?: number
  text?: string
  on?: boolean
  holder?: 'user' | 'model' | 'both' | 'nobody'
  why?: string
  kind?: string
  sentence?: string
}

export interface Stats {
  stages?: Record<string, number>
  ledger?: Record<string, unknown>
  lateness_ms?: number
  sessions?: number
}

export type Message =
  | { kind: 'welcome'; body: Welcome }
  | { kind: 'sound'; start: number; epoch: number; heard: number; pcm: Int16Array }
  | { kind: 'event'; body: ServerEvent }
  | { kind: 'flush'; epoch: number; start: number }
  | { kind: 'got'; upto: number }
  | { kind: 'error'; body: { code: string; message: string; fatal?: boolean } }
  | { kind: 'pong'; stamp: number }
  | { kind: 'stats'; body: Stats }
  | { kind: 'unknown'; code: number }

function json(kind: number, body: unknown): ArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify(body))
  const bytes = new Uint8Array(1 + text.length)
  bytes[0] = kind
  bytes.set(text, 1)
  return bytes.buffer
}

function fields(kind: number, size: number): DataView<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(1 + size))
  view.setUint8(0, kind)
  return view
}

export const hello = (body: Hello): ArrayBuffer => json(Kind.hello, body)

export const control = (type: string, more: Record<string, unknown> = {}): ArrayBuffer =>
  json(Kind.control, { type, ...more })

export function audio(start: number, pcm: Int16Array): ArrayBuffer {
  const view = fields(Kind.audio, 8 + 2 * pcm.length)
  view.setBigUint64(1, BigInt(start), true)
  for (let i = 0; i < pcm.length; i++) view.setInt16(9 + 2 * i, pcm[i]!, true)
  return view.buffer
}

export function played(upto: number, waiting: number): ArrayBuffer {
  const view = fields(Kind.played, 12)
  view.setBigUint64(1, BigInt(upto), true)
  view.setUint32(9, waiting, true)
  return view.buffer
}

export function ping(stamp: number): ArrayBuffer {
  const view = fields(Kind.ping, 8)
  view.setBigUint64(1, BigInt(stamp), true)
  return view.buffer
}

/** What the server sent; throws a RangeError or SyntaxError where it is cut short. */
export function read(buffer: ArrayBuffer): Message {
  const view = new DataView(buffer)
  const u64 = (at: number): number => Number(view.getBigUint64(at, true))
  const body = (): never => JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 1))) as never
  const kind = view.getUint8(0)
  switch (kind) {
    case Kind.welcome:
      return { kind: 'welcome', body: body() }
    case Kind.sound: {
      const pcm = new Int16Array((buffer.byteLength - 21) >> 1)
      for (let i = 0; i < pcm.length; i++) pcm[i] = view.getInt16(21 + 2 * i, true)
      return { kind: 'sound', start: u64(1), epoch: view.getUint32(9, true), heard: u64(13), pcm }
    }
    case Kind.event:
      return { kind: 'event', body: body() }
    case Kind.flush:
      return { kind: 'flush', epoch: view.getUint32(1, true), start: u64(5) }
    case Kind.got:
      return { kind: 'got', upto: u64(1) }
    case Kind.error:
      return { kind: 'error', body: body() }
    case Kind.pong:
      return { kind: 'pong', stamp: u64(1) }
    case Kind.stats:
      return { kind: 'stats', body: body() }
    default:
      return { kind: 'unknown', code: kind }
  }
}
