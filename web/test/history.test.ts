import { describe, expect, it } from 'vitest'
import { History } from '../src/lib/history'

function count(from: number, n: number): Int16Array {
  return Int16Array.from({ length: n }, (_, i) => from + i)
}

function filled(most = 1000): History {
  const history = new History(most)
  for (let i = 0; i < 10; i++) history.add(count(10 * i, 10))
  return history
}

/** The samples themselves say where they belong. */
function contiguous(history: History, upto: number): number {
  let at = upto
  for (const { start, pcm } of history.from(upto)) {
    expect(start).toBe(at)
    expect([...pcm]).toEqual([...count(at, pcm.length)])
    at += pcm.length
  }
  return at
}

describe('History', () => {
  it('gives again exactly what the server lacks', () => {
    for (const upto of [0, 1, 9, 10, 55, 99, 100]) expect(contiguous(filled(), upto)).toBe(100)
  })

  it('forgets what was acknowledged', () => {
    const history = filled()
    history.got(35)
    expect(history.from(0)[0]!.start).toBe(30)
    expect(contiguous(history, 35)).toBe(100)
    history.got(100)
    expect(history.from(0)).toEqual([])
    expect(history.lost).toBe(0)
  })

  it('is bounded, and counts what it gave up', () => {
    const history = filled(40)
    expect(history.lost).toBe(60)
    expect(history.from(0)[0]!.start).toBe(60)
    expect(history.next).toBe(100)
  })

  it('begins again where a server stands', () => {
    const history = filled()
    history.restart(5000)
    expect(history.add(count(0, 4)).start).toBe(5000)
    expect(history.from(0)).toHaveLength(1)
  })
})
