/**
 * The queue between the network and the loudspeaker.
 *
 * Sound starts a little after the first of it arrived (the hold), which absorbs a late message. Where more waits than a
 * late message explains, the oldest is discarded, so that delay does not grow; where nothing waits, silence is played.
 * All of it is counted: received = played + late + flushed + repeated + waiting, always.
 */

export interface Limits {
  /** Seconds to wait after the first sound before playing it; grows by a step with each underrun, up to `holdMost`. */
  hold: number
  holdMost: number
  /** Seconds beyond one message and the hold that may wait; grows with each discard, up to `slackMost`. */
  slack: number
  slackMost: number
  step: number
  /** Seconds over which sound fades in and out. */
  fade: number
}

/** For engines that answer while they listen: what is late is not worth hearing. */
export const LIVE: Limits = { hold: 0.02, holdMost: 0.2, slack: 0.06, slackMost: 0.4, step: 0.02, fade: 0.005 }

/** For engines that send a reply faster than it is played: all of it is worth hearing. */
export const WHOLE: Limits = { ...LIVE, hold: 0.06, slack: 300, slackMost: 300 }

export interface Counts {
  received: number
  played: number
  /** Discarded because more waited than was allowed. */
  late: number
  /** Discarded because the server said so. */
  flushed: number
  /** Came twice, as after a lost connection. */
  repeated: number
  underruns: number
  /** Samples of silence played because sound came too late. */
  silence: number
}

/** How far one reply got. */
export interface Reached {
  epoch: number
  /** Where the last sample of it that was played ends. */
  upto: number
  samples: number
}

/** Replies that are remembered. */
const REPLIES = 16

interface Chunk {
  start: number
  epoch: number
  heard: number
  wave: Float32Array
}

export class JitterBuffer {
  readonly counts: Counts = { received: 0, played: 0, late: 0, flushed: 0, repeated: 0, underruns: 0, silence: 0 }
  /** All output before this position was played or discarded. */
  upto: number
  waiting = 0
  /** The reply that is playing or played last; -1 before the first. */
  epoch = -1
  playing = false
  /** Seconds that the first sound of a reply waits. */
  hold: number
  /** The last replies that were played, oldest first. */
  readonly replies: Reached[] = []

  private queue: Chunk[] = []
  private end: number
  private slack: number
  private holdLeft = 0
  private longest = 0
  private readonly fade: number
  private rise = 0
  private tail = 0
  private last = 0
  private falling = 0
  private fence = { epoch: -1, start: 0 }
  /** Where sound ran out, until it is known whether the reply was over. */
  private dry: { epoch: number; at: number; quiet: number } | null = null

  constructor(
    private readonly rate: number,
    private readonly limits: Limits = LIVE,
    position = 0,
  ) {
    this.upto = this.end = position
    this.hold = limits.hold
    this.slack = limits.slack
    this.fade = Math.max(1, Math.round(limits.fade * rate))
  }

  /** The input position at which what plays now was made; null while nothing plays. */
  get heard(): number | null {
    const chunk = this.queue[0]
    return this.playing && chunk ? chunk.heard + this.upto - chunk.start : null
  }

  /** Samples that may wait before the oldest are discarded. */
  get cap(): number {
    return this.longest + Math.round((this.hold + this.slack) * this.rate)
  }

  push(start: number, epoch: number, heard: number, wave: Float32Array): void {
    this.counts.received += wave.length
    const twice = Math.min(wave.length, Math.max(0, this.end - start))
    this.counts.repeated += twice
    this.end = Math.max(this.end, start + wave.length)
    let rest = wave.subarray(twice)
    let from = start + twice
    const allowed = this.allowed(epoch, from, rest.length)
    this.counts.flushed += rest.length - allowed
    rest = rest.subarray(0, allowed)
    if (rest.length === 0) return
    if (this.dry) {
      if (this.dry.epoch === epoch && this.dry.at === from) {
        this.counts.underruns += 1
        this.counts.silence += this.dry.quiet
        this.hold = Math.min(this.limits.holdMost, this.hold + this.limits.step)
      }
      this.dry = null
    }
    if (!this.playing && this.queue.length === 0) this.holdLeft = Math.round(this.hold * this.rate)
    // The samples are copied: what is drained later must not keep a whole message alive.
    this.queue.push({ start: from, epoch, heard: heard + twice, wave: rest.slice() })
    this.waiting += rest.length
    this.longest = Math.max(this.longest, wave.length)
    this.bound()
  }

  /** Plays nothing of `epoch`, or of any before it, from `start` on; returns the position really reached. */
  flush(epoch: number, start: number): number {
    if (epoch >= this.fence.epoch) this.fence = { epoch, start }
    const before = this.waiting
    this.queue = this.queue.flatMap((chunk) => {
      const keep = this.allowed(chunk.epoch, chunk.start, chunk.wave.length)
      this.waiting -= chunk.wave.length - keep
      return keep ? [{ ...chunk, wave: chunk.wave.subarray(0, keep) }] : []
    })
    this.counts.flushed += before - this.waiting
    if (this.queue.length === 0) this.stop()
    this.dry = null
    return this.upto
  }

  /** The next samples for the loudspeaker. */
  pull(out: Float32Array): void {
    out.fill(0)
    if (!this.playing && this.queue.length > 0) {
      this.holdLeft -= out.length
      if (this.holdLeft < 0) {
        this.playing = true
        this.rise = 0
      }
    }
    let at = 0
    while (this.playing && at < out.length) at += this.take(out, at)
    if (this.dry) this.dry.quiet += out.length - at
    // Where sound ran out just now, it fades from there; where it was cut between two calls, from the first sample.
    const from = this.dry && this.dry.quiet === out.length - at ? at : 0
    for (let i = from; i < out.length && this.tail > 0; i++, this.tail--) out[i]! += (this.falling * this.tail) / this.fade
  }

  private take(out: Float32Array, at: number): number {
    const chunk = this.queue[0]
    if (!chunk) {
      this.dry = { epoch: this.epoch, at: this.upto, quiet: 0 }
      this.stop()
      return 0
    }
    const n = Math.min(out.length - at, chunk.wave.length)
    for (let i = 0; i < n; i++) {
      const gain = this.rise < this.fade ? ++this.rise / this.fade : 1
      out[at + i] = gain * chunk.wave[i]!
    }
    this.last = out[at + n - 1]!
    this.counts.played += n
    this.skip(n)
    this.reach(chunk.epoch, n)
    return n
  }

  private reach(epoch: number, samples: number): void {
    if (epoch !== this.epoch) {
      this.epoch = epoch
      this.replies.push({ epoch, upto: 0, samples: 0 })
      if (this.replies.length > REPLIES) this.replies.shift()
    }
    const reply = this.replies.at(-1)!
    reply.upto = this.upto
    reply.samples += samples
  }

  private skip(n: number): void {
    const chunk = this.queue[0]!
    this.waiting -= n
    this.upto = chunk.start + n
    if (n === chunk.wave.length) this.queue.shift()
    else {
      chunk.wave = chunk.wave.subarray(n)
      chunk.start += n
      chunk.heard += n
    }
  }

  private stop(): void {
    this.fall()
    this.playing = false
  }

  /** What played last fades from where it was, rather than clicks. */
  private fall(): void {
    if (!this.playing) return
    this.tail = this.fade
    this.falling = this.last
  }

  private bound(): void {
    if (this.waiting <= this.cap) return
    let excess = this.waiting - this.longest - Math.round(this.hold * this.rate)
    while (excess > 0) {
      const n = Math.min(excess, this.queue[0]!.wave.length)
      this.counts.late += n
      this.skip(n)
      excess -= n
    }
    this.fall()
    this.rise = 0
    this.slack = Math.min(this.limits.slackMost, this.slack + this.limits.step)
  }

  /** How many of these samples may still be played. */
  private allowed(epoch: number, start: number, samples: number): number {
    if (epoch > this.fence.epoch) return samples
    if (epoch < this.fence.epoch) return 0
    return Math.min(samples, Math.max(0, this.fence.start - start))
  }
}
