import { expect, it } from 'vitest'
import { budget, total } from '../src/lib/latency'

const known = { microphone: 0.01, chunk: 0.02, trip: 0.03, waiting: 0.04, speaker: 0.005 }

it('names the stages in the order that sound takes, and sums them', () => {
  const stages = budget(known, { stages: { queue: 1.5, some_thing: 2 } })
  expect(stages.map(({ name }) => name)).toEqual([
    'Microphone',
    'Message of 20 ms',
    'Network, there',
    'Queue',
    'Some thing',
    'Network, back',
    'Jitter buffer',
    'Loudspeaker',
  ])
  expect(total(stages)).toBeCloseTo(108.5)
})

it('leaves out what nobody knows rather than calling it nothing', () => {
  const stages = budget({ ...known, microphone: null, trip: null }, null)
  expect(stages.map(({ name }) => name)).toEqual(['Message of 20 ms', 'Jitter buffer', 'Loudspeaker'])
})
