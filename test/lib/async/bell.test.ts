import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createBell } from '../../../lib/async/bell.ts'

const LIMIT_MS = 5000

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function setUp() {
  const end = new AbortController()
  const listeners = new Set<() => void>()
  const subscribe = (ring: () => void) => {
    listeners.add(ring)
    return () => listeners.delete(ring)
  }
  const bell = createBell(subscribe, end.signal)
  const wait = () => {
    const waiting = { over: false }
    void bell.rung(LIMIT_MS).then(() => {
      waiting.over = true
    })
    return waiting
  }
  const ring = () => {
    for (const listener of listeners) listener()
  }
  return { bell, end, listeners, wait, ring }
}

describe('a bell', () => {
  it('wakes whoever waits, as soon as it rings', async () => {
    const { wait, ring } = setUp()
    const waiting = wait()
    await vi.advanceTimersByTimeAsync(LIMIT_MS - 1)
    expect(waiting.over).toBe(false)
    ring()
    await vi.advanceTimersByTimeAsync(0)
    expect(waiting.over).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('that has rung before lets nobody wait, once', async () => {
    const { wait, ring } = setUp()
    ring()
    ring()
    const first = wait()
    await vi.advanceTimersByTimeAsync(0)
    const second = wait()
    await vi.advanceTimersByTimeAsync(0)
    expect([first.over, second.over]).toEqual([true, false])
  })

  it('lets nobody wait longer than that', async () => {
    const { wait } = setUp()
    const waiting = wait()
    await vi.advanceTimersByTimeAsync(LIMIT_MS)
    expect(waiting.over).toBe(true)
  })

  it('lets nobody wait beyond the end', async () => {
    const { wait, end } = setUp()
    const before = wait()
    end.abort()
    const after = wait()
    await vi.advanceTimersByTimeAsync(0)
    expect([before.over, after.over]).toEqual([true, true])
  })

  it('is taken down', () => {
    const { bell, listeners } = setUp()
    bell[Symbol.dispose]()
    expect(listeners.size).toBe(0)
  })
})
