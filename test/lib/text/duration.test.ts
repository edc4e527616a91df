import { describe, expect, it } from 'vitest'
import { formatDuration, parseDuration } from '../../../lib/text/duration.ts'

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
