import type { Counts, Reached } from '../lib/jitter'

/** From the worklet that listens: 20 ms of what is sent. */
export interface Chunk {
  /** The context's frame number of its first sample. */
  frame: number
  pcm: Int16Array
  rms: number
  peak: number
}

export interface Gate {
  open: boolean
}

/** To the worklet that speaks. */
export type Order =
  | { type: 'open'; position: number; whole: boolean }
  | { type: 'zero'; frame: number }
  | { type: 'sound'; start: number; epoch: number; heard: number; pcm: Int16Array }
  | { type: 'flush'; epoch: number; start: number }

/** From the worklet that speaks: several times a second, and at once after a flush. */
export interface Report {
  type: 'report' | 'flushed'
  upto: number
  waiting: number
  cap: number
  /** Seconds that the first sound of a reply waits. */
  hold: number
  epoch: number
  playing: boolean
  counts: Counts
  replies: Reached[]
  /** Of what left the worklet since the last report. */
  rms: number
  peak: number
  /** Input samples that went by between what the model had heard when it made what plays now, and now. */
  behind: number | null
  /** The same at the first sample of the reply. */
  answered: number | null
}
