/** One conversation as the page shows it: the sound, the link and what the server tells, brought together. */
import type { Chunk, Report } from '../worklets/messages'
import { ask, endpoint, type Info } from './info'
import { Link, type State } from './link'
import { Loudness } from './loudness'
import { forget, givenToken, remember, remembered } from './memory'
import { Sound, devices, type Devices } from './sound'
import { watch } from './tab'
import { Transcript } from './transcript.svelte'
import * as wire from './wire'
import * as words from './words'

export type Phase = 'idle' | 'starting' | 'live' | 'lost'
export type Holder = 'user' | 'model' | 'both' | 'nobody'

export interface Figures {
  report: Report
  /** Seconds by which the jitter buffer delays: of a reply that comes whole, its first sound; else on average. */
  waiting: number
  sent: { samples: number; lost: number }
  /** Seconds: microphone to page, there and back again, page to loudspeaker. */
  in: number | null
  trip: number | null
  out: number
}

/** Reports between two figures, and chunks between two levels. */
const SELDOM = 5
const LEVEL = 3
/** Milliseconds for which the browser may hold the sound back before the user is asked for a press. */
const PATIENCE = 1000
/** Engines that send a reply as fast as they make it, rather than frame by frame while they listen. */
const WHOLE = /turn|cascade/i

export class Talk {
  phase: Phase = $state('idle')
  trouble: words.Trouble | null = $state.raw(null)
  info: Info = $state({})
  welcome: wire.Welcome | null = $state.raw(null)
  stats: wire.Stats | null = $state.raw(null)
  report: Report | null = $state.raw(null)
  /** What is read rather than watched, at a pace that can be read. */
  figures: Figures | null = $state.raw(null)
  level = $state.raw({ rms: 0, peak: 0 })
  floor: Holder = $state('nobody')
  answering = $state(false)
  handsFree = $state(true)
  muted = $state(false)
  pressed = $state(false)
  cancelEcho = $state(true)
  microphone = $state('')
  speaker = $state('')
  devices: Devices = $state.raw({ inputs: [], outputs: [] })
  file: { name: string; seconds: number; began: number } | null = $state.raw(null)
  retry: { in: number; attempt: number } | null = $state.raw(null)
  needsToken = $state(false)
  hasMicrophone = $state(false)
  transcript = new Transcript()

  private token = givenToken()
  private sound: Sound | null = null
  private link: Link | null = null
  private zero: number | null = null
  private readonly loudness = new Loudness(LEVEL)
  private reports: Report[] = []
  /** The page's clock less that of the sound, in seconds: it grows while the browser has stopped the sound. */
  private drift: number | null = null
  private readonly log: Record<string, unknown>[] = []

  constructor() {
    this.trouble = words.unusable()
    void this.ask()
    watch({
      woke: () => {
        this.link?.hurry()
        this.sound?.wake()
      },
      offline: () => this.phase !== 'idle' && (this.trouble = words.OFFLINE),
      left: () => this.remember(),
      pressed: () => this.sound?.wake(),
      devicesChanged: () => void this.list(),
    })
    if (!this.trouble && remembered()) void this.start({ microphone: true })
  }

  /** Whether what the user says is sent as it is; else silence is. */
  get open(): boolean {
    return this.phase !== 'idle' && (this.file !== null || (this.handsFree ? !this.muted : this.pressed))
  }

  get usable(): boolean {
    return words.unusable() === null
  }

  get rate(): number {
    void this.phase
    return this.sound?.rate ?? 1
  }

  /** Whether replies come faster than they are played. */
  get whole(): boolean {
    return WHOLE.test(this.welcome?.engine ?? '')
  }

  /** Seconds on the clock of the sound. */
  since(began: number): number {
    return (this.sound?.context.currentTime ?? began) - began
  }

  async start({ microphone }: { microphone: boolean }): Promise<boolean> {
    if (this.phase !== 'idle') return true
    this.phase = 'starting'
    this.trouble = null
    this.needsToken = false
    this.note('start', { microphone })
    try {
      this.sound = await Sound.open({
        heard: (chunk) => this.heard(chunk),
        reported: (report) => this.reported(report),
        lost: () => void this.unplugged(),
        changed: (state) => this.sounding(state),
      })
      if (microphone) await this.hear()
      if (this.speaker) await this.sound.useSpeaker(this.speaker)
    } catch (failure) {
      this.note('no sound', { failure: String(failure) })
      await this.end()
      this.trouble = words.microphone(failure)
      return false
    }
    void this.list()
    this.sounding(this.sound.context.state)
    this.link = new Link(endpoint(), this.sound.rate, this.token, {
      welcomed: (welcome, before) => this.welcomed(welcome, before),
      message: (message) => this.take(message),
      changed: (state, retry) => this.linked(state, retry),
      refused: (code, message, opened) => void this.refused(code, message, opened),
    })
    this.link.open(remembered())
    return true
  }

  async end(): Promise<void> {
    const { sound, link } = this
    this.sound = this.link = null
    this.zero = this.drift = null
    link?.close()
    forget()
    this.phase = 'idle'
    this.pressed = this.answering = false
    this.hasMicrophone = false
    this.file = null
    this.floor = 'nobody'
    this.level = { rms: 0, peak: 0 }
    this.retry = null
    if (this.report) this.report = { ...this.report, rms: 0, peak: 0, playing: false, behind: null, answered: null }
    await sound?.close()
  }

  /** The user's turn begins or ends by hand. */
  press(down: boolean): void {
    if (this.pressed === down || this.handsFree) return
    this.pressed = down
    this.gate()
    if (!down) this.link?.send(wire.control('commit'))
  }

  mute(on: boolean): void {
    this.muted = on
    this.gate()
  }

  setHandsFree(on: boolean): void {
    this.handsFree = on
    this.pressed = this.muted = false
    this.gate()
  }

  /** Stops the answer that is being given. */
  cancel(): void {
    this.note('cancel', { upto: this.report?.upto })
    this.link?.send(wire.control('cancel'))
  }

  say(text: string): void {
    if (this.link?.send(wire.control('text', { text }))) this.transcript.typed(text)
  }

  async sendFile(file: File): Promise<void> {
    if (!(await this.start({ microphone: false })) || !this.sound) return
    const { sound } = this
    try {
      const recording = await sound.decode(await file.arrayBuffer())
      // What is played before the server listens would not be heard.
      while (this.phase === 'starting') await new Promise((go) => setTimeout(go, 50))
      if (this.sound !== sound) return
      this.note('file', { name: file.name, seconds: recording.duration })
      this.file = { name: file.name, seconds: recording.duration, began: sound.context.currentTime }
      this.gate()
      await sound.useRecording(recording)
      if (!this.handsFree) this.link?.send(wire.control('commit'))
    } catch (failure) {
      this.note('no file', { failure: String(failure) })
      this.trouble = words.notSound(file.name)
    }
    this.file = null
    this.gate()
  }

  /** Takes the chosen devices and settings into use. */
  async choose(): Promise<void> {
    if (!this.sound) return
    try {
      if (this.hasMicrophone) await this.hear()
      await this.sound.useSpeaker(this.speaker)
      this.trouble = null
    } catch (failure) {
      this.trouble = words.microphone(failure)
    }
  }

  /** What the button beside a trouble does. */
  async act(): Promise<void> {
    const trouble = this.trouble
    this.trouble = null
    if (trouble?.action === 'sound') this.sound?.wake()
    else if (this.phase === 'idle') await this.start({ microphone: true })
    else await this.useMicrophone()
  }

  /** Brings a microphone into a session that began without one. */
  async useMicrophone(): Promise<void> {
    await this.hear().catch((failure: unknown) => (this.trouble = words.microphone(failure)))
    void this.list()
  }

  async enter(token: string): Promise<void> {
    this.token = token
    this.trouble = null
    await this.start({ microphone: true })
  }

  /** The page's own account, for tests and for reports of defects. */
  account(): Record<string, unknown> {
    const { phase, welcome, report, figures, stats, floor, trouble } = this
    return {
      phase,
      floor,
      trouble: trouble?.title ?? null,
      session: welcome?.session ?? null,
      engine: welcome?.engine ?? null,
      rate: this.sound?.rate ?? null,
      sent: { samples: this.link?.history.next ?? 0, lost: this.link?.history.lost ?? 0 },
      output: report && { ...report },
      stats,
      trip: figures?.trip ?? null,
      transcript: this.transcript.lines.map(({ who, text }) => ({ who, text })),
      log: this.log,
    }
  }

  private heard(chunk: Chunk): void {
    this.level = this.loudness.add(chunk) ?? this.level
    // Before the server's first word nothing has a position yet; while it is lost, what is said waits.
    if (this.welcome === null || this.phase === 'starting' || !this.link) return
    const zero = chunk.frame - this.link.history.next
    if (zero !== this.zero) this.sound?.order({ type: 'zero', frame: zero })
    this.zero = zero
    this.link.say(chunk.pcm)
  }

  private reported(report: Report): void {
    this.report = report
    if (report.type === 'flushed') this.note('flushed', { upto: report.upto, epoch: report.epoch })
    if (this.welcome) this.link?.send(wire.played(report.upto, report.waiting))
    this.reports.push(report)
    if (this.reports.length < SELDOM) return
    this.figure()
    this.remember()
    this.doze()
  }

  private figure(): void {
    const { sound, link, reports } = this
    const report = reports.at(-1)
    if (!sound || !report) return
    const mean = reports.reduce((sum, { waiting }) => sum + waiting, 0) / reports.length / sound.rate
    const waiting = this.whole ? report.hold : mean
    const { next: samples = 0, lost = 0 } = link?.history ?? {}
    this.figures = { report, waiting, sent: { samples, lost }, in: sound.in, trip: link?.trip ?? null, out: sound.out }
    this.reports = []
  }

  private clocks(): number {
    return performance.now() / 1000 - (this.sound?.context.currentTime ?? 0)
  }

  private doze(): void {
    const drift = this.clocks()
    const slept = drift - (this.drift ?? drift)
    this.drift = drift
    if (this.phase === 'live' && slept > 2) {
      this.note('slept', { seconds: slept })
      this.trouble = words.SLEPT(slept)
    }
  }

  private welcomed(welcome: wire.Welcome, before: 'new' | 'resumed' | 'replaced'): void {
    this.note('welcome', { before, session: welcome.session, input: welcome.input, output: welcome.output })
    const fresh = this.welcome === null || before !== 'resumed'
    this.welcome = welcome
    if (fresh) {
      const position = before === 'resumed' ? this.link!.held!.received : welcome.output
      this.sound?.order({ type: 'open', position, whole: this.whole })
      this.zero = null
    }
    if (before === 'new') this.transcript.clear()
    if (before === 'replaced') this.trouble = words.REPLACED
    this.gate()
  }

  private take(message: wire.Message): void {
    if (message.kind === 'sound') {
      const { start, epoch, heard, pcm } = message
      this.sound?.order({ type: 'sound', start, epoch, heard, pcm })
    } else if (message.kind === 'flush') {
      this.note('flush', { epoch: message.epoch, start: message.start })
      this.sound?.order({ type: 'flush', epoch: message.epoch, start: message.start })
    } else if (message.kind === 'stats') this.stats = message.body
    else if (message.kind === 'event') this.happened(message.body)
    else if (message.kind === 'error') this.trouble = words.told(message.body.message)
  }

  private happened(event: wire.ServerEvent): void {
    if (event.type !== 'said') this.note(event.type, { epoch: event.epoch, heard: event.heard })
    const epoch = event.epoch ?? 0
    if (event.type === 'floor' && event.holder) this.floor = event.holder
    else if (event.type === 'said') this.transcript.said(event.text ?? '', epoch)
    else if (event.type === 'heard') this.transcript.heard(event.text ?? '')
    else if (event.type === 'began') this.answering = true
    else if (event.type === 'ended') {
      this.answering = false
      if (event.why !== 'done') this.transcript.cut(epoch)
    } else if (event.type === 'trouble') {
      this.trouble = words.told(event.sentence ?? 'something failed on the server')
    }
  }

  private linked(state: State, retry: Talk['retry']): void {
    this.note(`link ${state}`, retry ?? {})
    this.retry = retry
    if (state === 'open') {
      if (this.trouble === words.OFFLINE) this.trouble = null
      this.phase = 'live'
    } else if (state === 'lost') this.phase = 'lost'
  }

  private async refused(code: string, message: string, opened: boolean): Promise<void> {
    this.note('refused', { code, message })
    if (/^(no_session|bad_key)$/.test(code) && this.link?.held) {
      this.trouble = words.REPLACED
      this.link.open()
      return
    }
    const held = remembered()
    await this.end()
    this.welcome = null
    if (code === 'unreachable') await this.ask()
    this.trouble = words.refusal(code, message, opened, this.info)
    this.needsToken = this.trouble.action === 'token'
    // Who gives the right token goes on.
    if (this.needsToken && held) remember(held)
  }

  private sounding(state: AudioContextState): void {
    this.note(`sound ${state}`)
    if (state === 'running') {
      this.drift ??= this.clocks()
      if (this.trouble === words.STILL) this.trouble = null
      return
    }
    // It starts suspended, and mostly runs a moment later.
    setTimeout(() => {
      const still = this.sound && this.sound.context.state !== 'running'
      if (still && !this.trouble) this.trouble = words.STILL
    }, PATIENCE)
  }

  private async unplugged(): Promise<void> {
    this.note('unplugged')
    this.hasMicrophone = false
    await this.list()
    this.microphone = ''
    try {
      await this.hear()
      this.trouble = words.UNPLUGGED
    } catch {
      this.trouble = words.NONE_LEFT
    }
  }

  private async hear(): Promise<void> {
    await this.sound?.useMicrophone(this.microphone, this.cancelEcho)
    this.hasMicrophone = this.sound !== null
  }

  private gate(): void {
    this.sound?.gate(this.open)
  }

  private async list(): Promise<void> {
    this.devices = await devices()
    const there = (all: MediaDeviceInfo[], id: string): boolean => all.some(({ deviceId }) => deviceId === id)
    if (!there(this.devices.inputs, this.microphone)) this.microphone = ''
    if (this.speaker && !there(this.devices.outputs, this.speaker)) {
      this.speaker = ''
      this.trouble = words.MOVED
      await this.sound?.useSpeaker('')
    }
  }

  private async ask(): Promise<void> {
    this.info = await ask()
    if (this.info.tokens && !this.token && this.phase === 'idle') this.needsToken = true
  }

  /** Output that did not leave the worklet is to come again. */
  private remember(): void {
    const { held } = this.link ?? {}
    if (held && this.report && this.welcome) remember({ ...held, received: this.report.upto })
  }

  private note(what: string, more: Record<string, unknown> = {}): void {
    this.log.push({ at: Math.round(performance.now()), what, ...more })
    if (this.log.length > 300) this.log.shift()
  }
}
