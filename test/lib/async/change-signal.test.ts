import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createChangeSignal } from '../../../lib/async/change-signal.ts'

const LIMIT_MS = 5000

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function setUp() {
  const end = new AbortController()
  const signal = createChangeSignal(end.signal)
  const wait = (limitMs?: number) => {
    const waiting = { over: false }
    void signal.changed(limitMs).then(() => {
      waiting.over = true
    })
    return waiting
  }
  return { signal, end, wait }
}

describe('a change signal', () => {
  it('resolves as soon as something changes, and leaves no timer', async () => {
    const { wait, signal } = setUp()
    const waiting = wait(LIMIT_MS)
    await vi.advanceTimersByTimeAsync(LIMIT_MS - 1)
    expect(waiting.over).toBe(false)
    signal.notify()
    await vi.advanceTimersByTimeAsync(0)
    expect(waiting.over).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('resolves immediately, once, for changes that came before', async () => {
    const { wait, signal } = setUp()
    signal.notify()
    signal.notify()
    const first = wait(LIMIT_MS)
    await vi.advanceTimersByTimeAsync(0)
    const second = wait(LIMIT_MS)
    await vi.advanceTimersByTimeAsync(0)
    expect([first.over, second.over]).toEqual([true, false])
  })

  it('resolves after the limit if nothing changes', async () => {
    const { wait } = setUp()
    const limited = wait(LIMIT_MS)
    await vi.advanceTimersByTimeAsync(LIMIT_MS)
    expect(limited.over).toBe(true)
  })

  it('waits without a limit if none is given', async () => {
    const { wait } = setUp()
    const unlimited = wait()
    await vi.advanceTimersByTimeAsync(LIMIT_MS * 1000)
    expect(unlimited.over).toBe(false)
  })

  it('never waits beyond the end', async () => {
    const { wait, end } = setUp()
    const before = wait(LIMIT_MS)
    end.abort()
    const after = wait()
    await vi.advanceTimersByTimeAsync(0)
    expect([before.over, after.over]).toEqual([true, true])
  })
})
