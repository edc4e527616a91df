import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FinalError, RetryableError } from '../../../../lib/errors.ts'
import type { RunPromise } from '../../../../shim/pull/runs/promised-runs.ts'
import { createSharedRuns, type Hold, type RunCall } from '../../../../shim/pull/runs/shared-runs.ts'

const ABANDON_MS = 60_000
const REMEMBER_MS = 30_000
const PROMISE_MS = 600_000
const MAX = 3

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const never = () => new AbortController().signal

interface JoinOptions {
  readonly key?: string
  readonly namespace?: string
  readonly terms?: string
  readonly run?: (call: RunCall) => Promise<string>
  readonly hold?: Hold
  readonly onPromise?: (promise: RunPromise) => void
  readonly stillHolds?: (result: string) => Promise<boolean>
}

function setUp() {
  const runs = createSharedRuns<string>({
    abandonAfterMs: ABANDON_MS,
    promiseMs: PROMISE_MS,
    rememberFailuresMs: REMEMBER_MS,
    maxPerNamespace: MAX,
  })
  const started: { signal: AbortSignal; resolve: (value: string) => void; reject: (error: Error) => void }[] = []
  const start = ({ signal }: RunCall) =>
    new Promise<string>((resolve, reject) => {
      started.push({ signal, resolve, reject })
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  const join = async (signal = never(), options: JoinOptions = {}) => {
    const { key = 'key', namespace = 'a', terms = '', run = start, hold, onPromise, stillHolds } = options
    using request = runs.request(key, namespace)
    return await request.join({ start: run, terms, signal, hold, onPromise, stillHolds })
  }
  return { runs, started, join }
}

describe('requests', () => {
  it('with the same key share one run and its result', async () => {
    const { started, join } = setUp()
    const all = Promise.all(Array.from({ length: 200 }, () => join()))
    started[0]?.resolve('id')
    expect(new Set(await all)).toEqual(new Set(['id']))
    expect(started).toHaveLength(1)
  })

  it('with other keys have runs of their own', () => {
    const { started, join, runs } = setUp()
    void join()
    void join(undefined, { key: 'other' })
    expect(started).toHaveLength(2)
    expect(runs.active()).toEqual(new Set(['key', 'other']))
  })

  it('start another run after the last one has ended', async () => {
    const { started, join } = setUp()
    const first = join()
    started[0]?.resolve('id')
    await first
    void join()
    expect(started).toHaveLength(2)
  })
})

describe('a request that is withdrawn', () => {
  it('fails with Cancelled, while the run continues for the others', async () => {
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

  it('leaves a run that another request can join within the grace time', async () => {
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

  it('as the last one of its run ends the run after the grace time', async () => {
    const { started, join, runs } = setUp()
    const caller = new AbortController()
    const gone = join(caller.signal)
    caller.abort()
    await expect(gone).rejects.toThrow()
    await vi.advanceTimersByTimeAsync(ABANDON_MS)
    expect(started[0]?.signal.aborted).toBe(true)
    expect(runs.active().size).toBe(0)
  })

  it('can be made again while its run is torn down: it waits for the end, then starts another run', async () => {
    const { started, runs, join } = setUp()
    const slow = ({ signal }: RunCall) =>
      new Promise<string>((resolve, reject) => started.push({ signal, resolve, reject }))
    const caller = new AbortController()
    const gone = join(caller.signal, { run: slow })
    caller.abort()
    await expect(gone).rejects.toThrow()
    await vi.advanceTimersByTimeAsync(ABANDON_MS)
    expect(runs.active()).toEqual(new Set(['key']))
    const next = join(undefined, { run: slow })
    expect(started).toHaveLength(1)
    started[0]?.reject(new RetryableError('Cancelled', 'torn down'))
    await vi.advanceTimersByTimeAsync(0)
    started[1]?.resolve('id')
    await expect(next).resolves.toBe('id')
  })

  it('before it joins starts no run', async () => {
    const { started, join } = setUp()
    await expect(join(AbortSignal.abort())).rejects.toMatchObject({ code: 'Cancelled' })
    expect(started).toHaveLength(0)
  })
})

describe('a request that is held', () => {
  const stillBuilding = new RetryableError('StillBuilding', 'still building')
  const holdOf = (caller = 'pod') => {
    const controller = new AbortController()
    return { hold: { caller, signal: controller.signal }, end: () => controller.abort(stillBuilding) }
  }

  it('ends with the reason of its hold, while the run continues for longer than without a hold', async () => {
    const { started, join } = setUp()
    const { hold, end } = holdOf()
    const held = join(undefined, { hold })
    end()
    await expect(held).rejects.toBe(stillBuilding)
    await vi.advanceTimersByTimeAsync(PROMISE_MS - 1)
    expect(started[0]?.signal.aborted).toBe(false)
    const again = join(undefined, { hold: holdOf().hold })
    started[0]?.resolve('id')
    await expect(again).resolves.toBe('id')
    expect(started).toHaveLength(1)
  })

  it('ends its run if no request comes in time', async () => {
    const { started, join, runs } = setUp()
    const { hold, end } = holdOf()
    const held = join(undefined, { hold })
    end()
    await expect(held).rejects.toBe(stillBuilding)
    await vi.advanceTimersByTimeAsync(PROMISE_MS)
    expect(started[0]?.signal.aborted).toBe(true)
    expect(runs.active().size).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('ends its run as soon as without a hold if the caller comes back and leaves', async () => {
    const { started, join } = setUp()
    const { hold, end } = holdOf()
    const held = join(undefined, { hold })
    end()
    await expect(held).rejects.toBe(stillBuilding)
    const caller = new AbortController()
    const again = join(caller.signal, { hold: holdOf().hold })
    caller.abort()
    await expect(again).rejects.toMatchObject({ code: 'Cancelled' })
    await vi.advanceTimersByTimeAsync(ABANDON_MS)
    expect(started[0]?.signal.aborted).toBe(true)
  })

  it('ends its run as soon as without a hold if the caller will not ask again', async () => {
    const { started, join } = setUp()
    const promises: RunPromise[] = []
    const callers = ['goes', 'stays'].map(caller => ({
      ...holdOf(caller),
      onPromise: (p: RunPromise) => promises.push(p),
    }))
    const held = callers.map(({ hold, onPromise }) => join(undefined, { hold, onPromise }))
    for (const { end } of callers) end()
    for (const each of held) await expect(each).rejects.toBe(stillBuilding)
    promises[0]?.break()
    await expect(promises[0]?.ended).resolves.toBeUndefined()
    await vi.advanceTimersByTimeAsync(ABANDON_MS)
    expect(started[0]?.signal.aborted).toBe(false)
    promises[1]?.break()
    await vi.advanceTimersByTimeAsync(ABANDON_MS)
    expect(started[0]?.signal.aborted).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('has its promise kept when the caller asks again', async () => {
    const { started, join } = setUp()
    const ended = vi.fn()
    const { hold, end } = holdOf()
    const held = join(undefined, { hold, onPromise: promise => void promise.ended.then(ended) })
    end()
    await expect(held).rejects.toBe(stillBuilding)
    expect(ended).not.toHaveBeenCalled()
    const again = join(undefined, { hold: holdOf().hold })
    await vi.advanceTimersByTimeAsync(0)
    expect(ended).toHaveBeenCalledOnce()
    started[0]?.resolve('id')
    await expect(again).resolves.toBe('id')
  })

  it.each([
    ['the result', undefined],
    ['the failure', new RetryableError('FetchFailed', 'no network')],
  ])('gets %s of a run that ended meanwhile, once, and no other caller does', async (_, failure) => {
    const { started, join } = setUp()
    const { hold, end } = holdOf()
    const held = join(undefined, { hold })
    end()
    await expect(held).rejects.toBe(stillBuilding)
    if (failure) started[0]?.reject(failure)
    else started[0]?.resolve('id')
    await vi.advanceTimersByTimeAsync(PROMISE_MS - 1)
    void join(undefined, { hold: holdOf('other').hold }).catch(() => {})
    expect(started).toHaveLength(2)
    started[1]?.reject(new RetryableError('Cancelled', 'another run'))
    await vi.advanceTimersByTimeAsync(0)
    const again = join(undefined, { hold: holdOf().hold })
    if (failure) await expect(again).rejects.toBe(failure)
    else await expect(again).resolves.toBe('id')
    void join(undefined, { hold: holdOf().hold }).catch(() => {})
    expect(started).toHaveLength(3)
  })

  it('starts another run if the last one ended too long ago', async () => {
    const { started, join } = setUp()
    const { hold, end } = holdOf()
    const held = join(undefined, { hold })
    end()
    await expect(held).rejects.toBe(stillBuilding)
    started[0]?.resolve('id')
    await vi.advanceTimersByTimeAsync(PROMISE_MS)
    void join(undefined, { hold: holdOf().hold })
    expect(started).toHaveLength(2)
  })

  it('starts another run if the result of the last one does not hold any more', async () => {
    const { started, join } = setUp()
    const { hold, end } = holdOf()
    const held = join(undefined, { hold })
    end()
    await expect(held).rejects.toBe(stillBuilding)
    started[0]?.resolve('gone')
    await vi.advanceTimersByTimeAsync(0)
    const again = join(undefined, { hold: holdOf().hold, stillHolds: async result => result !== 'gone' })
    await vi.advanceTimersByTimeAsync(0)
    expect(started).toHaveLength(2)
    started[1]?.resolve('id')
    await expect(again).resolves.toBe('id')
  })

  it('joins a run that has not ended without asking whether its result holds', async () => {
    const { started, join } = setUp()
    const { hold, end } = holdOf()
    const held = join(undefined, { hold })
    end()
    await expect(held).rejects.toBe(stillBuilding)
    const again = join(undefined, { hold: holdOf().hold, stillHolds: async () => false })
    await vi.advanceTimersByTimeAsync(0)
    started[0]?.resolve('id')
    await expect(again).resolves.toBe('id')
    expect(started).toHaveLength(1)
  })

  it('by a caller that asks again in any case starts another run if the last one failed long ago', async () => {
    const { started, join } = setUp()
    const { hold, end } = holdOf()
    const ahead = join(undefined, { hold: { ...hold, asksAgain: true } })
    started[0]?.reject(new RetryableError('FetchFailed', 'no network'))
    await expect(ahead).rejects.toThrow('no network')
    await vi.advanceTimersByTimeAsync(PROMISE_MS)
    end()
    const own = join(undefined, { hold: holdOf().hold })
    await vi.advanceTimersByTimeAsync(0)
    started[1]?.resolve('id')
    await expect(own).resolves.toBe('id')
  })

  it('by a caller that asks again in any case gets the result of a run that ended before', async () => {
    const { started, join } = setUp()
    const { hold, end } = holdOf()
    const ahead = join(undefined, { hold: { ...hold, asksAgain: true } })
    started[0]?.resolve('id')
    await expect(ahead).resolves.toBe('id')
    await vi.advanceTimersByTimeAsync(10 * PROMISE_MS)
    end()
    await vi.advanceTimersByTimeAsync(PROMISE_MS - 1)
    await expect(join(undefined, { hold: holdOf().hold })).resolves.toBe('id')
    expect(started).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a failure', () => {
  it('that is final answers later requests without another run, for a while', async () => {
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

  it('that is retryable is forgotten immediately', async () => {
    const { started, join } = setUp()
    const first = join()
    started[0]?.reject(new RetryableError('NixDaemonAway', 'away'))
    await expect(first).rejects.toThrow('away')
    void join()
    expect(started).toHaveLength(2)
  })
})

describe('a refusal', () => {
  const tooLarge = new FinalError('ImageTooLarge', 'too large')

  it('is remembered for requests with the same terms only', async () => {
    const { started, join } = setUp()
    const first = join()
    started[0]?.reject(tooLarge)
    await expect(first).rejects.toThrow('too large')
    await expect(join()).rejects.toThrow('too large')
    expect(started).toHaveLength(1)
    void join(undefined, { terms: 'more' })
    expect(started).toHaveLength(2)
  })

  it('of a shared run makes requests with other terms run again', async () => {
    const { started, join } = setUp()
    const strict = join()
    const generous = join(undefined, { terms: 'more' })
    started[0]?.reject(tooLarge)
    await expect(strict).rejects.toThrow('too large')
    await vi.advanceTimersByTimeAsync(0)
    started[1]?.reject(tooLarge)
    await expect(generous).rejects.toThrow('too large')
    expect(started).toHaveLength(2)
  })
})

describe('a namespace', () => {
  const full = { code: 'QueueFull', retryable: true, message: expect.stringMatching(/"a".*maxQueuedPerNamespace/) }
  const fill = ({ join }: ReturnType<typeof setUp>, signal = never()) =>
    Array.from({ length: MAX }, (_, index) => join(signal, { key: `key-${index}` }))

  it('cannot request more runs at a time than its limit, and other namespaces still can', async () => {
    const all = setUp()
    const { started, join } = all
    const [first] = fill(all)
    await expect(join(undefined, { key: 'one-more' })).rejects.toMatchObject(full)
    void join(undefined, { key: 'one-more', namespace: 'b' })
    expect(started).toHaveLength(MAX + 1)
    started[0]?.resolve('id')
    await first
    void join(undefined, { key: 'yet-another' })
    expect(started).toHaveLength(MAX + 2)
  })

  it('can join a run that it has requested already any number of times', async () => {
    const all = setUp()
    fill(all)
    void all.join(undefined, { key: 'key-0' })
    expect(all.started).toHaveLength(MAX)
  })

  it('that has withdrawn its requests still counts for their runs until these end', async () => {
    const all = setUp()
    const caller = new AbortController()
    const left = fill(all, caller.signal)
    caller.abort()
    await Promise.allSettled(left)
    await expect(all.join(undefined, { key: 'one-more' })).rejects.toMatchObject(full)
    await vi.advanceTimersByTimeAsync(ABANDON_MS)
    void all.join(undefined, { key: 'one-more' })
    expect(all.started).toHaveLength(MAX + 1)
  })
})

describe('a run belongs to', () => {
  it('the namespaces that request it, then to the last one that did', async () => {
    const { join, runs } = setUp()
    const owners: (() => readonly string[])[] = []
    const run = (call: RunCall) => {
      owners.push(call.owners.current)
      return new Promise<string>(() => {})
    }
    const [a, b] = [new AbortController(), new AbortController()]
    void join(a.signal, { run }).catch(() => {})
    void join(b.signal, { namespace: 'b', run }).catch(() => {})
    const current = () => owners[0]?.()
    expect(current()).toEqual(['a', 'b'])
    a.abort()
    await vi.advanceTimersByTimeAsync(0)
    expect(current()).toEqual(['b'])
    b.abort()
    await vi.advanceTimersByTimeAsync(0)
    expect(current()).toEqual(['b'])
    void join(undefined, { namespace: 'c', run })
    expect(current()).toEqual(['c'])
    expect(runs.active().size).toBe(1)
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

describe('runs that are closed', () => {
  const shuttingDown = expect.objectContaining({ code: 'ShuttingDown', retryable: true })

  it('refuse new requests', async () => {
    const { runs, started, join } = setUp()
    await runs.close()
    await expect(join()).rejects.toThrow(shuttingDown)
    expect(started).toHaveLength(0)
  })

  it('refuse a request that has waited for the end of an aborted run', async () => {
    const { runs, started, join } = setUp()
    const first = join()
    const closed = runs.close()
    const second = join()
    await expect(first).rejects.toThrow(shuttingDown)
    await expect(second).rejects.toThrow(shuttingDown)
    await closed
    expect(started).toHaveLength(1)
  })

  it('leave no timer behind', async () => {
    const { runs, join } = setUp()
    const first = join()
    await Promise.all([expect(first).rejects.toThrow(shuttingDown), runs.close()])
    expect(vi.getTimerCount()).toBe(0)
  })
})
