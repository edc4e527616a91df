import { expect, test } from 'vitest'
import { judgeCollection } from '../../../../shim/doctor/nix/check-collection.ts'

const TIMER = 'nix-gc.timer'

test.each([
  { when: 'auto', outcome: 'ok', text: /runs low$/ },
  { when: 'auto', timer: TIMER, outcome: 'ok', text: /runs low, beside nix-gc\.timer$/ },
  { when: 'auto', minFree: true, outcome: 'ok', text: /runs low, beside min-free of Nix$/ },
  { when: 'auto', minFree: 'first', outcome: 'warning', text: /^the shim leaves .* only while Nix builds/ },
  {
    when: 'auto',
    timer: TIMER,
    minFree: 'first',
    outcome: 'warning',
    text: /^the shim leaves .* only while Nix builds/,
  },
  { when: 'always', outcome: 'ok', text: /runs low$/ },
  { when: 'always', timer: TIMER, minFree: 'first', outcome: 'ok', text: /beside nix-gc\.timer and min-free of Nix$/ },
  { when: 'never', outcome: 'warning', text: /^nothing collects/ },
  { when: 'never', timer: TIMER, outcome: 'warning', text: /^nix-gc\.timer collects .* not when the disk runs low/ },
  { when: 'never', minFree: true, outcome: 'warning', text: /^min-free of Nix collects .* only while Nix builds/ },
] as const)(
  'with when: $when, timer: $timer and minFree: $minFree, doctor says $outcome',
  ({ when, outcome, text, ...others }) => {
    const found = judgeCollection(when, { timer: undefined, minFree: false, ...others })
    expect(found).toMatchObject({ outcome, text: expect.stringMatching(text) })
  },
)
