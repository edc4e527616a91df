import { describe, expect, it } from 'vitest'
import { planRetention } from '../../../controller/plan/retention.ts'

const NOW = 1_000_000
const build = (name: string, age: number, used = false) =>
  ({ name, finishedAt: NOW - age, used, createdBy: 'hand' }) as const

describe('of the finished builds of a namespace', () => {
  it.each([
    ['all stay if they are few and young', [build('a', 10), build('b', 20)], 2, 100, [], NOW + 80],
    [
      'the oldest beyond the count are removed',
      [build('b', 20), build('a', 10), build('c', 30)],
      2,
      100,
      ['c'],
      NOW + 80,
    ],
    [
      'those that are too old are removed',
      [build('a', 10), build('b', 100), build('c', 101)],
      9,
      100,
      ['c', 'b'],
      NOW + 90,
    ],
    ['one in use stays at any age', [build('a', 500, true), build('b', 500)], 9, 100, ['b'], undefined],
    ['one in use does not count', [build('a', 1, true), build('b', 2), build('c', 3)], 2, 100, [], NOW + 97],
    ['none stays with a count of 0', [build('a', 1), build('b', 2)], 0, 100, ['b', 'a'], undefined],
    [
      'the last of those that ended at the same time are removed',
      [build('b', 1), build('a', 1), build('c', 1)],
      2,
      100,
      ['c'],
      NOW + 99,
    ],
    [
      'those of each creator are counted separately',
      [build('a', 1), build('b', 2), { ...build('c', 3), createdBy: 'shim' } as const],
      1,
      100,
      ['b'],
      NOW + 97,
    ],
    ['there may be none', [], 2, 100, [], undefined],
  ])('%s', (_name, builds, keepFinished, keepFinishedForMs, remove, recheckAt) => {
    expect(planRetention(builds, { keepFinished, keepFinishedForMs }, NOW)).toEqual({ remove, recheckAt })
  })
})
