import { describe, expect, it } from 'vitest'
import { JitterBuffer, LIVE, WHOLE, type Limits } from '../src/lib/jitter'

const RATE = 16_000
const FRAME = 1280 // 80 ms
const QUANTUM = 128

function ones(n: number, value = 0.5): Float32Array {
  return new Float32Array(n).fill(value)
}

function balanced(b: JitterBuffer): void {
  const { received, played, late, flushed, repeated } = b.counts
  // Not `expect` alone: it is slow, and this runs thousands of times.
  if (played + late + flushed + repeated + b.waiting !== received) expect(b.counts).toBe('balanced')
}

function pull(b: JitterBuffer, samples: number): Float32Array {
  const all = new Float32Array(samples)
  for (let at = 0; at < samples; at += QUANTUM) b.pull(all.subarray(at, Math.min(at + QUANTUM, samples)))
  return all
}

describe('JitterBuffer', () => {
  it('waits for the hold, then plays every sample once and in order', () => {
    const b = new JitterBuffer(RATE)
    const ramp = Float32Array.from({ length: FRAME }, (_, i) => (i + 1) / FRAME)
    b.push(0, 1, 100, ramp)
    const out = pull(b, 3 * FRAME)
    const first = out.findIndex((x) => x !== 0)
    expect(first).toBeGreaterThan(LIVE.hold * RATE - QUANTUM)
    expect(first).toBeLessThan(LIVE.hold * RATE + 2 * QUANTUM)
    const fade = LIVE.fade * RATE
    expect([...out.subarray(first + fade, first + FRAME)]).toEqual([...ramp.subarray(fade)])
    expect(b.upto).toBe(FRAME)
    expect(b.counts.played).toBe(FRAME)
    balanced(b)
  })

  it('fades in and out: no step is larger than the fade makes it', () => {
    const b = new JitterBuffer(RATE)
    b.push(0, 1, 0, ones(1000))
    const out = pull(b, 4096)
    let steepest = 0
    for (let i = 1; i < out.length; i++) steepest = Math.max(steepest, Math.abs(out[i]! - out[i - 1]!))
    expect(steepest).toBeLessThanOrEqual(0.5 / (LIVE.fade * RATE) + 1e-6)
  })

  it('counts an underrun only where the same reply goes on', () => {
    const b = new JitterBuffer(RATE)
    b.push(0, 1, 0, ones(FRAME))
    pull(b, 4 * FRAME)
    expect(b.counts.underruns).toBe(0)
    b.push(FRAME, 1, 0, ones(FRAME))
    expect(b.counts.underruns).toBe(1)
    expect(b.counts.silence).toBeGreaterThan(0)
    pull(b, 4 * FRAME)
    b.push(2 * FRAME, 2, 0, ones(FRAME))
    expect(b.counts.underruns).toBe(1)
    balanced(b)
  })

  it('waits longer after an underrun, up to a limit', () => {
    const b = new JitterBuffer(RATE)
    const quiet: number[] = []
    for (let i = 0; i < 10; i++) {
      b.push(i * FRAME, 1, 0, ones(FRAME))
      const out = pull(b, 4 * FRAME)
      quiet.push(out.findIndex((x) => Math.abs(x) > 1e-3))
    }
    expect(quiet[3]).toBeGreaterThan(quiet[0]!)
    expect(quiet[9]).toBeLessThanOrEqual(LIVE.holdMost * RATE + 2 * QUANTUM)
  })

  it('discards the oldest above the cap and counts it', () => {
    const b = new JitterBuffer(RATE)
    for (let i = 0; i < 20; i++) {
      b.push(i * FRAME, 1, i * FRAME, ones(FRAME))
      expect(b.waiting).toBeLessThanOrEqual(b.cap)
    }
    expect(b.counts.late).toBeGreaterThan(15 * FRAME)
    expect(b.upto).toBe(20 * FRAME - b.waiting)
    balanced(b)
  })

  it('keeps a whole reply that comes faster than it is played', () => {
    const b = new JitterBuffer(RATE, WHOLE)
    for (let i = 0; i < 200; i++) b.push(i * FRAME, 1, 0, ones(FRAME))
    expect(b.counts.late).toBe(0)
    pull(b, 300 * FRAME)
    expect(b.counts.played).toBe(200 * FRAME)
  })

  it('drops what a flush names, says the true position, and plays nothing of it afterwards', () => {
    const b = new JitterBuffer(RATE, WHOLE)
    b.push(0, 1, 0, ones(10 * FRAME))
    pull(b, 4 * FRAME)
    const reached = b.upto
    expect(b.flush(1, 0)).toBe(reached)
    expect(b.waiting).toBe(0)
    b.push(10 * FRAME, 1, 0, ones(FRAME))
    const out = pull(b, 4 * FRAME)
    expect(b.upto).toBe(reached)
    expect(b.counts.played).toBe(reached)
    expect(Math.max(...out.subarray(LIVE.fade * RATE + 1))).toBe(0)
    b.push(11 * FRAME, 2, 0, ones(FRAME))
    pull(b, 4 * FRAME)
    expect(b.upto).toBe(12 * FRAME)
    expect(b.replies).toEqual([
      { epoch: 1, upto: reached, samples: reached },
      { epoch: 2, upto: 12 * FRAME, samples: FRAME },
    ])
    expect(b.counts.underruns).toBe(0)
    balanced(b)
  })

  it('plays up to where a flush begins', () => {
    const b = new JitterBuffer(RATE, WHOLE)
    b.push(0, 3, 0, ones(4 * FRAME))
    b.flush(3, 2 * FRAME + 7)
    pull(b, 8 * FRAME)
    expect(b.counts.played).toBe(2 * FRAME + 7)
    balanced(b)
  })

  it('plays what comes twice once', () => {
    const b = new JitterBuffer(RATE, WHOLE)
    b.push(0, 1, 0, ones(FRAME))
    b.push(FRAME / 2, 1, 0, ones(FRAME))
    pull(b, 6 * FRAME)
    expect(b.counts.repeated).toBe(FRAME / 2)
    expect(b.counts.played).toBe(1.5 * FRAME)
    balanced(b)
  })

  it('says where the input was when what plays now was made', () => {
    const b = new JitterBuffer(RATE)
    expect(b.heard).toBeNull()
    b.push(0, 1, 5000, ones(FRAME))
    pull(b, 512)
    expect(b.heard).toBe(5000 + b.upto)
  })

  it('goes on from a position, as after a reload', () => {
    const b = new JitterBuffer(RATE, LIVE, 4000)
    b.push(3000, 2, 0, ones(2000))
    pull(b, 6 * FRAME)
    expect(b.counts).toMatchObject({ repeated: 1000, played: 1000 })
    expect(b.upto).toBe(5000)
  })

  it('balances and never goes back, whatever comes', () => {
    let seed = 12345
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
      return (seed >>> 8) % n
    }
    let loudest = 0
    for (let round = 0; round < 100; round++) {
      const limits: Limits = round % 2 ? LIVE : WHOLE
      const b = new JitterBuffer(RATE, limits)
      let [end, epoch, upto] = [0, 1, 0]
      for (let i = 0; i < 60; i++) {
        const what = random(10)
        if (what < 5) {
          const start = Math.max(0, end - (random(4) === 0 ? random(500) : 0))
          const n = 1 + random(2000)
          b.push(start, epoch, 0, ones(n))
          end = Math.max(end, start + n)
        } else if (what < 9) {
          loudest = Math.max(loudest, ...pull(b, 1 + random(3000)).map(Math.abs))
        } else {
          const reached = b.flush(epoch, Math.max(0, end - random(3000)))
          if (reached !== b.upto) expect(reached).toBe(b.upto)
          end += random(1000)
          epoch += 1
        }
        if (b.upto < upto) expect(b.upto).toBeGreaterThanOrEqual(upto)
        upto = b.upto
        balanced(b)
      }
    }
    expect(loudest).toBeLessThanOrEqual(1.0001)
  })
})
