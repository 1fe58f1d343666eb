/** What was said on both sides, as far as the model gives text. */

export interface Line {
  id: number
  who: 'you' | 'model'
  text: string
  epoch: number | null
  /** The reply was interrupted. */
  cut: boolean
}

const MOST = 200
/** Letters after which what is said goes on in another line. */
const LONGEST = 1000

export class Transcript {
  lines: Line[] = $state([])
  private next = 0

  /** A piece of what the model says. */
  said(text: string, epoch: number): void {
    const line = this.lines.at(-1)
    if (line?.epoch === epoch && line.text.length < LONGEST) line.text += text
    else this.add('model', text, epoch)
  }

  heard(text: string): void {
    this.add('you', text, null)
  }

  typed(text: string): void {
    this.add('you', text, null)
  }

  cut(epoch: number): void {
    const line = this.lines.findLast((line) => line.epoch === epoch)
    if (line) line.cut = true
  }

  clear(): void {
    this.lines = []
  }

  private add(who: Line['who'], text: string, epoch: number | null): void {
    this.lines.push({ id: this.next++, who, text, epoch, cut: false })
    if (this.lines.length > MOST) this.lines.shift()
  }
}
