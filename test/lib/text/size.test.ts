import { expect, test } from 'vitest'
import { formatSize, parseSize } from '../../../lib/text/size.ts'

test.each([
  ['500MiB', 500 * 2 ** 20],
  ['20Gi', 20 * 2 ** 30],
  ['1.5KiB', 1536],
  ['2TiB', 2 * 2 ** 40],
])('%s is %d bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test.each(['', '20', '20GB', '-1GiB', '0MiB', '1 GiB', '1e3GiB', '9999999GiB', 'GiB'])('%j is not a size', text => {
  expect(parseSize(text)).toBeUndefined()
})

test.each([
  [20 * 2 ** 30, '20GiB'],
  [1536 * 2 ** 20, '1536MiB'],
  [1001, '1001 bytes'],
])('%d is written as %s', (bytes, text) => {
  expect(formatSize(bytes)).toBe(text)
})
