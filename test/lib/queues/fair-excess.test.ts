import { expect, test } from 'vitest'
import { findFairExcess } from '../../../lib/queues/fair-excess.ts'

const ROOM = { count: 4, bytes: 100 }
const item = (name: string, owners: string, usedAt: number, bytes = 10) => ({
  name,
  owners: owners === '' ? [] : owners.split('+'),
  usedAt,
  bytes,
})
const excess = (...items: ReturnType<typeof item>[]) => findFairExcess(items, ROOM).map(({ name }) => name)

test.each<[string, ReturnType<typeof item>[], string[]]>([
  ['nothing while there is room', [item('a', 'one', 1, 50), item('b', 'two', 2, 50)], []],
  ['the oldest of one alone', [1, 2, 3, 4, 5, 6].map(at => item(`${at}`, 'one', at)), ['1', '2']],
  [
    'of whoever has the most, and not the oldest of all',
    [item('old', 'modest', 0), ...[1, 2, 3, 4].map(at => item(`${at}`, 'greedy', at))],
    ['1'],
  ],
  ['by bytes', [item('old', 'modest', 0, 40), item('big', 'greedy', 1, 50), item('more', 'greedy', 2, 20)], ['big']],
  ['what is too big by itself, alone', [item('old', 'one', 0), item('huge', 'one', 1, 101)], ['huge']],
  ['what nobody is known to have used', [item('old', '', 0, 60), item('new', 'one', 1, 50)], ['old']],
  [
    'not what somebody else holds, too',
    [item('shared', 'greedy+modest', 0, 40), item('a', 'greedy', 1, 40), item('b', 'greedy', 2, 40)],
    ['a'],
  ],
  [
    'what all of its holders give up',
    [item('shared', 'one+two', 0, 60), item('new', 'one', 1, 60), item('other', 'two', 1, 60)],
    ['shared', 'new'],
  ],
  [
    'what one holds alone, rather than what many share',
    [item('shared', 'one+two+three', 0, 60), item('old', 'alone', 1, 25), item('new', 'alone', 2, 25)],
    ['old'],
  ],
])('goes: %s', (_what, items, expected) => {
  expect(excess(...items)).toEqual(expected)
})

test('many items of many owners take no long', () => {
  const items = Array.from({ length: 5000 }, (_, at) => item(`${at}`, `owner-${at % 50}`, at))
  expect(excess(...items)).toHaveLength(4996)
})
