import { expect, test } from 'vitest'
import { findFairExcess, firstOfMost } from '../../../lib/queues/fair-excess.ts'

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
  ['the oldest items of a single owner', [1, 2, 3, 4, 5, 6].map(at => item(`${at}`, 'one', at)), ['1', '2']],
  [
    'items of the owner with the most, not the oldest of all',
    [item('old', 'modest', 0), ...[1, 2, 3, 4].map(at => item(`${at}`, 'greedy', at))],
    ['1'],
  ],
  [
    'items by their bytes',
    [item('old', 'modest', 0, 40), item('big', 'greedy', 1, 50), item('more', 'greedy', 2, 20)],
    ['big'],
  ],
  ['only the item that is too large by itself', [item('old', 'one', 0), item('huge', 'one', 1, 101)], ['huge']],
  ['items without a known owner', [item('old', '', 0, 60), item('new', 'one', 1, 50)], ['old']],
  [
    'no item that another owner still keeps',
    [item('shared', 'greedy+modest', 0, 40), item('a', 'greedy', 1, 40), item('b', 'greedy', 2, 40)],
    ['a'],
  ],
  [
    'an item that all of its owners give up',
    [item('shared', 'one+two', 0, 60), item('new', 'one', 1, 60), item('other', 'two', 1, 60)],
    ['shared', 'new'],
  ],
  [
    'an item of one owner rather than one that many share',
    [item('shared', 'one+two+three', 0, 60), item('old', 'alone', 1, 25), item('new', 'alone', 2, 25)],
    ['old'],
  ],
])('removes %s', (_what, items, expected) => {
  expect(excess(...items)).toEqual(expected)
})

test('handles many items of many owners', () => {
  const items = Array.from({ length: 5000 }, (_, at) => item(`${at}`, `owner-${at % 50}`, at))
  expect(excess(...items)).toHaveLength(4996)
})

test.each([
  [[], undefined],
  [['a1'], 'a1'],
  [['a1', 'b1', 'b2'], 'b1'],
  [['b1', 'a1', 'b2', 'a2', 'a3'], 'a1'],
  [['a1', 'b1'], 'a1'],
])('of %j, %s is dropped first', (items, expected) => {
  expect(firstOfMost(items, item => item.slice(0, 1))).toBe(expected)
})
