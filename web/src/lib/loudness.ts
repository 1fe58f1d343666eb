/** The level of a few chunks together: what is shown need not change fifty times a second. */

export interface Level {
  rms: number
  peak: number
}

export class Loudness {
  private levels: Level[] = []

  constructor(private readonly chunks: number) {}

  /** The level of the last chunks, each time that there are enough. */
  add(level: Level): Level | null {
    this.levels.push(level)
    if (this.levels.length < this.chunks) return null
    const rms = Math.sqrt(this.levels.reduce((sum, { rms }) => sum + rms * rms, 0) / this.chunks)
    const peak = Math.max(...this.levels.map(({ peak }) => peak))
    this.levels = []
    return { rms, peak }
  }
}
