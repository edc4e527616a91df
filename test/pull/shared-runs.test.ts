import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FinalError, RetryableError } from '../../shim/errors.ts'
import { createSharedRuns } from '../../shim/pull/shared-runs.ts'

const ABANDON_MS = 60_000
const REMEMBER_MS = 30_000

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function setUp() {
  const runs = createSharedRuns<string>({ abandonAfterMs: ABANDON_MS, rememberFailuresMs: REMEMBER_MS })
  const started: { signal: AbortSignal; resolve: (value: string) => void; reject: (error: Error) => void }[] = []
  const start = (signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      started.push({ signal, resolve, reject })
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  const join = (signal = new AbortController().signal, key = 'key') => runs.join(key, start, signal)
  return { runs, started, join }
}

describe('equal pulls', () => {
  it('share one run and its result', async () => {
    const { started, join } = setUp()
    const all = Promise.all(Array.from({ length: 200 }, () => join()))
    started[0]?.resolve('id')
    expect(new Set(await all)).toEqual(new Set(['id']))
    expect(started).toHaveLength(1)
  })

  it('with other keys run on their own', () => {
    const { started, join, runs } = setUp()
    void join()
    void join(undefined, 'other')
    expect(started).toHaveLength(2)
    expect(runs.active()).toEqual(new Set(['key', 'other']))
  })

  it('after the run has ended start anew', async () => {
    const { started, join } = setUp()
    const first = join()
    started[0]?.resolve('id')
    await first
    void join()
    expect(started).toHaveLength(2)
  })
})

describe('a caller that goes away', () => {
  it('is told so, while the run goes on for the others', async () => {
    const { started, join } = setUp()
    const caller = new AbortController()
    const gone = join(caller.signal)
    const stays = join()
    caller.abort()
    await expect(gone).rejects.toMatchObject({ code: 'Cancelled' })
    await vi.advanceTimersByTimeAsync(ABANDON_MS)
    started[0]?.resolve('id')
    await expect(stays).resolves.toBe('id')
  })

  it('leaves a run that the next one joins within the grace time', async () => {
    const { started, join } = setUp()
    const caller = new AbortController()
    const gone = join(caller.signal)
    caller.abort()
    await expect(gone).rejects.toThrow()
    await vi.advanceTimersByTimeAsync(ABANDON_MS - 1)
    const second = join()
    await vi.advanceTimersByTimeAsync(ABANDON_MS)
    started[0]?.resolve('id')
    await expect(second).resolves.toBe('id')
    expect(started).toHaveLength(1)
  })

  it('as the last one ends the run after the grace time', async () => {
    const { started, join, runs } = setUp()
    const caller = new AbortController()
    const gone = join(caller.signal)
    caller.abort()
    await expect(gone).rejects.toThrow()
    await vi.advanceTimersByTimeAsync(ABANDON_MS)
    expect(started[0]?.signal.aborted).toBe(true)
    expect(runs.active().size).toBe(0)
  })

  it('while its run is torn down waits for the end, and then starts anew', async () => {
    const { started, runs } = setUp()
    const slow = (signal: AbortSignal) =>
      new Promise<string>((resolve, reject) => started.push({ signal, resolve, reject }))
    const caller = new AbortController()
    const gone = runs.join('key', slow, caller.signal)
    caller.abort()
    await expect(gone).rejects.toThrow()
    await vi.advanceTimersByTimeAsync(ABANDON_MS)
    expect(runs.active()).toEqual(new Set(['key']))
    const next = runs.join('key', slow, new AbortController().signal)
    expect(started).toHaveLength(1)
    started[0]?.reject(new RetryableError('Cancelled', 'torn down'))
    await vi.advanceTimersByTimeAsync(0)
    started[1]?.resolve('id')
    await expect(next).resolves.toBe('id')
  })

  it('before it came starts nothing', async () => {
    const { started, join } = setUp()
    await expect(join(AbortSignal.abort())).rejects.toMatchObject({ code: 'Cancelled' })
    expect(started).toHaveLength(0)
  })
})

describe('a failure', () => {
  it('that is final answers later callers without another run, for a while', async () => {
    const { started, join } = setUp()
    const first = join()
    started[0]?.reject(new FinalError('BuilderFailed', 'no'))
    await expect(first).rejects.toThrow('no')
    await expect(join()).rejects.toThrow('no')
    expect(started).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(REMEMBER_MS)
    void join()
    expect(started).toHaveLength(2)
  })

  it('that is retryable is forgotten at once', async () => {
    const { started, join } = setUp()
    const first = join()
    started[0]?.reject(new RetryableError('NixDaemonAway', 'away'))
    await expect(first).rejects.toThrow('away')
    void join()
    expect(started).toHaveLength(2)
  })
})

describe('closing', () => {
  it('ends every run and waits for it', async () => {
    const { started, join, runs } = setUp()
    const waiting = join()
    const rejected = expect(waiting).rejects.toMatchObject({ code: 'ShuttingDown' })
    await runs.close()
    await rejected
    expect(started[0]?.signal.aborted).toBe(true)
  })
})
