import { expect, it } from 'vitest'
import { storedBytes } from '../../kube/stored-bytes.ts'

it.each([
  ['a', 3],
  ['é', 4],
  ['<a> & b', 2 + 4 + 3 * 6],
  ['"', 4],
])('the size of %j in the store is that of its JSON in Go: %i bytes', (text, bytes) => {
  expect(storedBytes(text)).toBe(bytes)
})
