/** Counts and cuts what comes in into 20 ms of PCM16. A closed gate sends silence, so that the clock never stops. */
import { CHUNK } from '../lib/latency'
import type { Chunk, Gate } from './messages'

const FADE = 0.005

class Listen extends AudioWorkletProcessor {
  private readonly size = Math.round(CHUNK * sampleRate)
  private pcm = new Int16Array(this.size)
  private at = 0
  private open = false
  private gain = 0
  private power = 0
  private peak = 0

  constructor() {
    super()
    this.port.onmessage = ({ data }: MessageEvent<Gate>) => {
      this.open = data.open
    }
  }

  process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const input = inputs[0]?.[0]
    const samples = outputs[0]?.[0]?.length ?? 128
    const step = 1 / (FADE * sampleRate)
    for (let i = 0; i < samples; i++) {
      this.gain = this.open ? Math.min(1, this.gain + step) : Math.max(0, this.gain - step)
      const value = Math.max(-1, Math.min(1, this.gain * (input?.[i] ?? 0)))
      this.power += value * value
      this.peak = Math.max(this.peak, Math.abs(value))
      this.pcm[this.at++] = Math.round(32767 * value)
      if (this.at === this.size) this.hand(currentFrame + i + 1 - this.size)
    }
    return true
  }

  private hand(frame: number): void {
    const chunk: Chunk = { frame, pcm: this.pcm, rms: Math.sqrt(this.power / this.size), peak: this.peak }
    this.port.postMessage(chunk, [this.pcm.buffer])
    this.pcm = new Int16Array(this.size)
    this.at = this.power = this.peak = 0
  }
}

registerProcessor('listen', Listen)
