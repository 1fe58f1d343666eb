/** What was said and not yet acknowledged, so that a lost connection loses none of it. Bounded: the oldest goes first. */

export interface Piece {
  start: number
  pcm: Int16Array
}

export class History {
  /** The position of the next sample. */
  next = 0
  /** Samples that were given up before the server had them. */
  lost = 0
  private pieces: Piece[] = []
  private held = 0

  constructor(private readonly most: number) {}

  add(pcm: Int16Array): Piece {
    const piece = { start: this.next, pcm }
    this.next += pcm.length
    this.pieces.push(piece)
    this.held += pcm.length
    while (this.held > this.most) {
      this.lost += this.pieces[0]!.pcm.length
      this.shift()
    }
    return piece
  }

  /** The server has all before `upto`. */
  got(upto: number): void {
    while (this.pieces[0] && this.pieces[0].start + this.pieces[0].pcm.length <= upto) this.shift()
  }

  /** What to send again to a server that has all before `upto`. */
  from(upto: number): Piece[] {
    return this.pieces
      .filter(({ start, pcm }) => start + pcm.length > upto)
      .map(({ start, pcm }) => (start >= upto ? { start, pcm } : { start: upto, pcm: pcm.subarray(upto - start) }))
  }

  /** Begins again, in a session of whose input the server has this much. */
  restart(position: number): void {
    this.pieces = []
    this.held = 0
    this.next = position
  }

  private shift(): void {
    this.held -= this.pieces.shift()!.pcm.length
  }
}
