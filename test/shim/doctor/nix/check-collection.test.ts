import { expect, test } from 'vitest'
import { judgeCollection } from '../../../../shim/doctor/nix/check-collection.ts'
import { MIN_FREE } from '../../../../shim/nix/collect/other-collector.ts'

test.each([
  { when: 'auto', other: undefined, outcome: 'ok', text: /^the shim has Nix collect/ },
  { when: 'auto', other: 'nix-gc.timer', outcome: 'ok', text: /^nix-gc.timer collects/ },
  { when: 'auto', other: MIN_FREE, outcome: 'warning', text: /only while Nix builds/ },
  { when: 'always', other: undefined, outcome: 'ok', text: /^the shim has Nix collect/ },
  { when: 'always', other: 'nix-gc.timer', outcome: 'warning', text: /^two collect/ },
  { when: 'never', other: 'nix-gc.timer', outcome: 'ok', text: /the shim does not$/ },
  { when: 'never', other: undefined, outcome: 'warning', text: /^nothing collects/ },
] as const)('with when: $when and $other beside it, doctor says $outcome', ({ when, other, outcome, text }) => {
  expect(judgeCollection(when, other)).toMatchObject({ outcome, text: expect.stringMatching(text) })
})
