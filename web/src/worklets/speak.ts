/** Plays what the server sends through the jitter buffer, and reports what really left it. */
import { JitterBuffer, LIVE, WHOLE } from '../lib/jitter'
import type { Order, Report } from './messages'

const EVERY = 0.1

class Speak extends AudioWorkletProcessor {
  private buffer = new JitterBuffer(sampleRate)
  private zero: number | null = null
  private answered: number | null = null
  private samples = 0
  private power = 0
  private peak = 0

  constructor() {
    super()
    this.port.onmessage = ({ data }: MessageEvent<Order>) => this.obey(data)
  }

  process(_: Float32Array[][], outputs: Float32Array[][]): boolean {
    const out = outputs[0]?.[0]
    if (!out) return true
    const before = this.buffer.epoch
    this.buffer.pull(out)
    if (this.buffer.epoch !== before) this.answered = this.behind
    for (const value of out) {
      this.power += value * value
      this.peak = Math.max(this.peak, Math.abs(value))
    }
    for (const other of outputs[0]!.slice(1)) other.set(out)
    this.samples += out.length
    if (this.samples >= EVERY * sampleRate) this.report('report')
    return true
  }

  private obey(order: Order): void {
    if (order.type === 'open') this.buffer = new JitterBuffer(sampleRate, order.whole ? WHOLE : LIVE, order.position)
    else if (order.type === 'zero') this.zero = order.frame
    else if (order.type === 'flush') {
      this.buffer.flush(order.epoch, order.start)
      this.report('flushed')
    } else {
      const wave = Float32Array.from(order.pcm, (value) => value / 32768)
      this.buffer.push(order.start, order.epoch, order.heard, wave)
    }
  }

  private get behind(): number | null {
    const { heard } = this.buffer
    return heard === null || this.zero === null ? null : currentFrame - this.zero - heard
  }

  private report(type: Report['type']): void {
    const { upto, waiting, cap, hold, epoch, playing, counts, replies } = this.buffer
    const told: Report = {
      type,
      upto,
      waiting,
      cap,
      hold,
      epoch,
      playing,
      counts: { ...counts },
      replies: replies.map((reply) => ({ ...reply })),
      rms: Math.sqrt(this.power / Math.max(1, this.samples)),
      peak: this.peak,
      behind: this.behind,
      answered: this.answered,
    }
    this.port.postMessage(told)
    this.samples = this.power = this.peak = 0
  }
}

registerProcessor('speak', Speak)
