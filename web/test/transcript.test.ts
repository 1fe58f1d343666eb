import { expect, it } from 'vitest'
import { Transcript } from '../src/lib/transcript.svelte'

const shown = (t: Transcript): string[] => t.lines.map(({ who, text, cut }) => `${who}: ${text}${cut ? ' (cut)' : ''}`)

it('joins the pieces of a reply, and keeps the order in which both sides spoke', () => {
  const t = new Transcript()
  t.heard('good morning')
  t.said('Good', 1)
  t.said(' morning.', 1)
  t.heard('wait')
  t.said(' How', 1)
  t.cut(1)
  t.said('Yes?', 2)
  expect(shown(t)).toEqual(['you: good morning', 'model: Good morning.', 'you: wait', 'model:  How (cut)', 'model: Yes?'])
})

it('is bounded', () => {
  const t = new Transcript()
  for (let i = 0; i < 5000; i++) t.said('and so on ', 1)
  for (let i = 0; i < 500; i++) t.heard('yes')
  expect(t.lines.length).toBeLessThanOrEqual(200)
  expect(Math.max(...t.lines.map(({ text }) => text.length))).toBeLessThan(1100)
})
