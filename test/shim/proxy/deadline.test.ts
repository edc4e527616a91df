import { describe, expect, test } from 'vitest'
import { formatTimeout, parseTimeout } from '../../../shim/proxy/deadline.ts'

test.each([
  ['1H', 3_600_000],
  ['2M', 120_000],
  ['3S', 3000],
  ['120000m', 120_000],
  ['5u', 0.005],
  ['7n', 0.000_007],
  ['0S', 0],
  ['99999999H', 359_999_996_400_000],
])('%s is %d ms', (value, ms) => {
  expect(parseTimeout(value)).toBeCloseTo(ms, 9)
})

test.each([undefined, '', 'S', '1', '1s', '-1S', '1.5S', '123456789S', '1S '])('%j is not a timeout', value => {
  expect(parseTimeout(value)).toBeUndefined()
})

describe('a remaining time is written', () => {
  test.each([
    [0, '0u'],
    [-5, '0u'],
    [0.5, '500u'],
    [59_999.9994, '59999999u'],
    [120_000, '120000m'],
    [99_999_999_000, '99999999S'],
    [359_999_996_400_000 * 10, '99999999H'],
  ])('%d ms as %s', (ms, value) => {
    expect(formatTimeout(ms)).toBe(value)
  })

  test.each([1, 99, 4567, 99_999, 100_000, 1e8, 1e11, 1e13])('never as a longer time: %d ms', ms => {
    const written = parseTimeout(formatTimeout(ms)) ?? Number.NaN
    expect(written).toBeLessThanOrEqual(ms)
    expect(written).toBeGreaterThan(ms * 0.99)
  })
})
