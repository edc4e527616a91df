import { expect, test } from 'vitest'
import { firstOfMost } from '../../../lib/queues/first-of-most.ts'

test.each([
  [[], undefined],
  [['a1'], 'a1'],
  [['a1', 'b1', 'b2'], 'b1'],
  [['b1', 'a1', 'b2', 'a2', 'a3'], 'a1'],
  [['a1', 'b1'], 'a1'],
])('of %j, %s is dropped first', (items, expected) => {
  expect(firstOfMost(items, item => item.slice(0, 1))).toBe(expected)
})
