import { expect, test } from 'vitest'
import { createFairQueue } from '../../shim/build/fair-queue.ts'

/** An owner's letter and its number make an item. */
function queueOf(items: readonly string[]) {
  const queue = createFairQueue<string>()
  for (const item of items) queue.add(item.charAt(0), item)
  return queue
}

test.each([
  { came: [], taken: [] },
  { came: ['a1'], taken: ['a1'] },
  { came: ['a1', 'a2', 'a3'], taken: ['a1', 'a2', 'a3'] },
  { came: ['a1', 'a2', 'a3', 'b1'], taken: ['a1', 'b1', 'a2', 'a3'] },
  { came: ['a1', 'a2', 'b1', 'b2', 'c1'], taken: ['a1', 'b1', 'c1', 'a2', 'b2'] },
])('$came are taken as $taken', ({ came, taken }) => {
  const queue = queueOf(came)
  expect(queue.inOrder()).toEqual(taken)
  expect(came.map(() => queue.take())).toEqual(taken)
  expect(queue.take()).toBeUndefined()
})

test.each([
  { came: ['a1', 'a2', 'b1'], gone: 'a1', taken: ['a2', 'b1'] },
  { came: ['a1', 'b1', 'a2'], gone: 'b1', taken: ['a1', 'a2'] },
  { came: ['a1'], gone: 'a1', taken: [] },
])('without $gone, $came are taken as $taken', ({ came, gone, taken }) => {
  const queue = queueOf(came)
  expect(queue.remove(gone)).toBe(true)
  expect(queue.remove(gone)).toBe(false)
  expect(queue.inOrder()).toEqual(taken)
})

test('an owner that was just served goes behind the others, also when it comes back', () => {
  const queue = queueOf(['a1', 'a2', 'b1'])
  expect(queue.take()).toBe('a1')
  queue.add('a', 'a3')
  expect(queue.inOrder()).toEqual(['b1', 'a2', 'a3'])
})
