import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startTicker } from './ticker.mjs'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** What a step has written after each of `seconds`, and at its end. After each of them it reports its progress. */
function written(isTTY: boolean, seconds: readonly number[]): string[] {
  let text = ''
  const ticker = startTicker({ isTTY, columns: 30, write: part => (text += part) })
  const after = seconds.map(count => {
    vi.advanceTimersByTime(count * 1000)
    const said = text
    text = ''
    ticker.show(`${count} packages compiled`)
    return said
  })
  ticker.stop()
  return [...after, text]
}

describe('the progress of a set-up step', () => {
  it('is a line every 15 seconds in a pipe', () => {
    expect(written(false, [14, 1, 15])).toEqual([
      '',
      'setup: … 15 s, 14 packages compiled\n',
      'setup: … 30 s, 1 packages compiled\n',
      '',
    ])
  })

  it('is redrawn every second on a terminal, cut to its width', () => {
    expect(written(true, [1, 1])).toEqual([
      '\r\x1b[2Ksetup: … 1 s',
      '\r\x1b[2Ksetup: … 2 s, 1 packages comp',
      '\r\x1b[2K',
    ])
  })
})
