import { describe, expect, it, test } from 'vitest'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../../lib/text/units.ts'

describe('a duration', () => {
  it.each([
    ['250ms', 250],
    ['30s', 30_000],
    ['90s', 90_000],
    ['1.5m', 90_000],
    ['1h', 3_600_000],
    ['24d', 24 * 86_400_000],
  ])('%s is %d ms', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds)
    expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds)
  })

  it.each(['', '30', '0s', '-1s', '1 hour', '30d', '1w', '9e9s'])('%o is not valid for a timer', text => {
    expect(parseDuration(text)).toBeUndefined()
  })
})

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
