import { expect, test } from 'vitest'
import { readFreed } from '../../../../shim/nix/collect/run-collection.ts'

test.each([
  { words: '5 store paths deleted, 22.00 MiB freed\n', bytes: 22 * 2 ** 20 },
  { words: '1 store paths deleted, 1.5 GiB freed', bytes: 1.5 * 2 ** 30 },
  { words: '0 store paths deleted, 0 bytes freed', bytes: 0 },
  { words: 'note: nothing is known\n', bytes: undefined },
])('$words is read as $bytes bytes', ({ words, bytes }) => {
  expect(readFreed(words)).toBe(bytes)
})
