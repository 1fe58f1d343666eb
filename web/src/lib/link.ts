/** The connection to the server: opens, notices when it is gone, comes back to the same session. */
import { History } from './history'
import * as wire from './wire'

export type State = 'closed' | 'opening' | 'open' | 'lost'

export interface Held {
  session: string
  key: string
  /** Output that need not come again. */
  received: number
  /** Events that need not come again. */
  events: number
}

export interface Partner {
  welcomed(welcome: wire.Welcome, before: 'new' | 'resumed' | 'replaced'): void
  message(message: wire.Message): void
  /** `retry`: seconds until the next attempt, and which it is. */
  changed(state: State, retry: { in: number; attempt: number } | null): void
  /** The server refused or ended the session; `opened`: whether it had ever begun. */
  refused(code: string, message: string, opened: boolean): void
}

/** Seconds of input kept for a connection that comes back. */
const KEPT = 20
const WAITS = [0.25, 0.5, 1, 2, 3, 5, 5, 5, 5]
/** Seconds without a sign of life after which a connection counts as lost. */
const SILENT = 6

export class Link {
  readonly history: History
  state: State = 'closed'
  held: Held | null = null
  /** Round trip in seconds: the median of the last few. */
  trip: number | null = null

  private socket: WebSocket | null = null
  private timer: ReturnType<typeof setTimeout> | undefined
  private pulse: ReturnType<typeof setInterval> | undefined
  private attempt = 0
  private life = 0
  private beat = 0
  private trips: number[] = []
  private fatal: { code: string; message: string } | null = null

  constructor(
    private readonly url: string,
    private readonly rate: number,
    private readonly token: string | undefined,
    private readonly partner: Partner,
  ) {
    this.history = new History(KEPT * rate)
  }

  open(held: Held | null = null): void {
    this.held = held
    this.attempt = 0
    this.connect('opening')
  }

  /** Says good-bye and does not come back. */
  close(): void {
    this.send(wire.control('close'))
    this.stop('closed')
  }

  say(pcm: Int16Array): void {
    const { start } = this.history.add(pcm)
    this.send(wire.audio(start, pcm))
  }

  send(message: ArrayBuffer): boolean {
    if (this.state !== 'open' || this.socket?.readyState !== WebSocket.OPEN) return false
    this.socket.send(message)
    return true
  }

  /** Tries now rather than at the next attempt, as when the network or the tab comes back. */
  hurry(): void {
    if (this.state === 'lost' && !this.socket) this.connect('lost')
    else if (this.state === 'open') this.check(performance.now())
  }

  /** Bytes that the browser has not sent yet. */
  get queued(): number {
    return this.socket?.bufferedAmount ?? 0
  }

  private connect(state: State): void {
    clearTimeout(this.timer)
    this.change(state, null)
    this.fatal = null
    const socket = new WebSocket(this.url, [wire.SUBPROTOCOL])
    socket.binaryType = 'arraybuffer'
    this.socket = socket
    this.life = this.beat = performance.now()
    socket.onopen = () => {
      const { rate, token, held } = this
      socket.send(
        wire.hello({ version: 1, format: 'pcm16', rate, record: false, ...(token && { token }), ...(held && { resume: held }) }),
      )
    }
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      if (this.socket === socket) this.take(wire.read(data))
    }
    socket.onclose = ({ code, reason }) => {
      if (this.socket === socket) this.gone(code, reason)
    }
    clearInterval(this.pulse)
    this.pulse = setInterval(() => this.check(performance.now()), 1000)
  }

  private take(message: wire.Message): void {
    this.life = performance.now()
    if (message.kind === 'welcome') this.welcomed(message.body)
    else if (message.kind === 'got') this.history.got(message.upto)
    else if (message.kind === 'pong') {
      this.trips = [...this.trips.slice(-4), (performance.now() - message.stamp / 1000) / 1000]
      this.trip = [...this.trips].sort((a, b) => a - b)[this.trips.length >> 1]!
    } else if (message.kind === 'error' && message.body.fatal) this.fatal = message.body
    else {
      if (message.kind === 'sound' && this.held) {
        this.held.received = Math.max(this.held.received, message.start + message.pcm.length)
      }
      if (message.kind === 'event' && this.held && message.body.n !== undefined) this.held.events = message.body.n + 1
      this.partner.message(message)
    }
  }

  private welcomed(welcome: wire.Welcome): void {
    const before = this.held === null ? 'new' : welcome.resumed ? 'resumed' : 'replaced'
    const { session, key } = welcome
    const { received, events } = before === 'resumed' ? this.held! : { received: welcome.output, events: welcome.events ?? 0 }
    this.held = { session, key, received, events }
    this.attempt = 0
    this.trips = []
    // A page that was loaded anew has said nothing yet, and goes on where the server stands.
    if (before !== 'resumed' || this.history.next < welcome.input) this.history.restart(welcome.input)
    this.change('open', null)
    this.partner.welcomed(welcome, before)
    for (const { start, pcm } of this.history.from(welcome.input)) this.send(wire.audio(start, pcm))
    this.send(wire.ping(Math.round(1000 * performance.now())))
  }

  private gone(code: number, reason: string): void {
    const was = this.state
    this.socket = null
    const said = this.fatal ?? (code === 1008 || code >= 4000 ? { code: String(code), message: reason } : null)
    if (said || this.held === null) {
      this.stop('closed')
      this.partner.refused(said?.code ?? 'unreachable', said?.message ?? reason, was !== 'opening')
      return
    }
    const wait = WAITS[this.attempt]
    if (wait === undefined) {
      this.stop('closed')
      this.partner.refused('gone', '', true)
      return
    }
    this.attempt += 1
    this.change('lost', { in: wait, attempt: this.attempt })
    this.timer = setTimeout(() => this.connect('lost'), 1000 * wait)
  }

  private check(now: number): void {
    const asleep = now - this.beat > 3000
    this.beat = now
    if (asleep) this.life = Math.max(this.life, now - 1000 * (SILENT - 2))
    if (now - this.life > 1000 * SILENT) {
      const socket = this.socket
      this.socket = null
      socket?.close()
      if (socket) this.gone(1006, '')
      return
    }
    this.send(wire.ping(Math.round(1000 * now)))
  }

  private stop(state: State): void {
    clearTimeout(this.timer)
    clearInterval(this.pulse)
    const socket = this.socket
    this.socket = null
    socket?.close(1000)
    this.change(state, null)
  }

  private change(state: State, retry: { in: number; attempt: number } | null): void {
    this.state = state
    this.partner.changed(state, retry)
  }
}
