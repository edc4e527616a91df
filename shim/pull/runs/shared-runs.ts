import { callerLeft, orCancelled } from '../../../lib/async/bounded-wait.ts'
import { RetryableError, shuttingDown, toShimError } from '../../../lib/errors.ts'
import type { Owners } from '../../../lib/queues/fair-order.ts'
import { createPromisedRuns, type RunPromise } from './promised-runs.ts'
import { createRememberedFailures, isForTerms } from './remembered-failures.ts'
import { createRunRequests } from './run-requests.ts'

export interface SharedRunsOptions {
  /** A run that no request has waited for during this time is aborted. */
  readonly abandonAfterMs: number
  /** The same for a run whose caller is expected to ask again. Its result is kept for that caller for as long. */
  readonly promiseMs?: number
  /** A final failure answers later requests for this long without another run. */
  readonly rememberFailuresMs: number
  /** Maximum number of runs that one namespace may request at a time. */
  readonly maxPerNamespace: number
}

/** Shares runs: requests with the same key join one run. */
export interface SharedRuns<Result> {
  /** Counts against the namespace until it is disposed of. Throws QueueFull. */
  request(key: string, namespace: string): RunRequest<Result>
  /** Keys of the active runs. */
  readonly active: () => ReadonlySet<string>
  /** Aborts every run and waits until all have ended. Later requests throw ShuttingDown. */
  close(): Promise<void>
}

export interface RunRequest<Result> extends Disposable {
  /** Waits for the run; the first request's `start` starts it. Throws what the run throws, or Cancelled. */
  join(join: Join<Result>): Promise<Result>
}

export interface Join<Result> {
  readonly start: (call: RunCall) => Promise<Result>
  /** What the rule of this request allows: a refusal under other terms does not apply to it. */
  readonly terms: string
  /** Withdraws this request alone: the run continues while another waits for it, and for `abandonAfterMs` longer. */
  readonly signal: AbortSignal
  readonly hold?: Hold | undefined
  /** Called before this request ends if the run is promised to its caller. */
  readonly onPromise?: ((promise: RunPromise) => void) | undefined
  /** Whether the result of a promised run that has ended is still true. By default, it is. */
  readonly stillHolds?: ((result: Result) => Promise<boolean>) | undefined
}

/** A caller that may have to ask again. */
export interface Hold {
  /** Identifies the caller, who gets the result of a run that was promised to it. */
  readonly caller: string
  /** Ends this request with its reason, and promises the run to the caller. */
  readonly signal: AbortSignal
  /** The caller asks again after `signal`, even if the run ends earlier. */
  readonly asksAgain?: boolean
}

/** What a run gets when it starts. */
export interface RunCall {
  /** Aborted when no request waits for the run any more. */
  readonly signal: AbortSignal
  /** Namespaces of its requests. */
  readonly owners: Owners
}

interface ActiveRun<Result> {
  readonly result: Promise<Result>
  readonly controller: AbortController
  readonly terms: string
  waiting: number
  /** On the clock of `performance`. Undefined while it runs. */
  endedAt?: number
  abandonTimer?: NodeJS.Timeout | undefined
}

/** Twice as long as the kubelet's longest pause between two pulls. */
const PROMISE_MS = 600_000

export function createSharedRuns<Result>({
  abandonAfterMs,
  promiseMs = PROMISE_MS,
  rememberFailuresMs,
  maxPerNamespace,
}: SharedRunsOptions): SharedRuns<Result> {
  const runs = new Map<string, ActiveRun<Result>>()
  const promises = createPromisedRuns<ActiveRun<Result>>(promiseMs)
  const failures = createRememberedFailures(rememberFailuresMs)
  const requests = createRunRequests(maxPerNamespace)
  let isClosed = false

  function startRun(key: string, { start, terms }: Join<Result>): ActiveRun<Result> {
    const controller = new AbortController()
    const call = { signal: controller.signal, owners: requests.ownersOf(key) }
    const run: ActiveRun<Result> = { result: start(call), controller, terms, waiting: 0 }
    runs.set(key, run)
    requests.started(key)
    const ended = () => {
      clearTimeout(run.abandonTimer)
      run.endedAt = performance.now()
      if (runs.get(key) !== run) return
      runs.delete(key)
      requests.ended(key)
    }
    run.result.then(ended, reason => {
      ended()
      const error = toShimError(reason)
      if (!error.retryable) failures.add(key, terms, error)
    })
    return run
  }

  function leave(key: string, run: ActiveRun<Result>): void {
    run.waiting -= 1
    if (runs.get(key) === run) abandonLater(key, run)
  }

  function abandonLater(key: string, run: ActiveRun<Result>): void {
    if (run.waiting > 0 || isClosed) return
    clearTimeout(run.abandonTimer)
    const abandon = () => {
      promises.forget(key)
      run.controller.abort(new RetryableError('Cancelled', 'no image request waits for this run any more'))
    }
    run.abandonTimer = setTimeout(abandon, promises.has(key) ? Math.max(promiseMs, abandonAfterMs) : abandonAfterMs)
  }

  async function join(key: string, call: Join<Result>, promised?: ActiveRun<Result>): Promise<Result> {
    const { signal, terms } = call
    const kept =
      promised && (promised.endedAt === undefined || (await isCurrent(promised, call))) ? promised : undefined
    // An aborted run is not joined, and no other run with its key starts before it has ended.
    for (let run = runs.get(key); run?.controller.signal.aborted; run = runs.get(key))
      await orCancelled(Promise.allSettled([run.result]), signal)
    if (signal.aborted) throw callerLeft(signal)
    if (isClosed) throw shuttingDown()
    const failure = failures.find(key, terms)
    if (failure) throw failure
    const run = runs.get(key) ?? kept ?? startRun(key, call)
    try {
      return await waitFor(key, run, call)
    } catch (error) {
      // The shared run was started under another rule: run again under this one.
      if (
        signal.aborted ||
        call.hold?.signal.aborted ||
        isForTerms({ error: toShimError(error), terms: run.terms }, terms)
      )
        throw error
    }
    return join(key, call)
  }

  /** The caller gets a failure once if it is recent: a run that is started again each time would only be called still building. */
  function isCurrent({ result, endedAt = 0 }: ActiveRun<Result>, { stillHolds }: Join<Result>): Promise<boolean> {
    const isRecent = performance.now() - endedAt < promiseMs
    return result.then(
      value => stillHolds?.(value) ?? true,
      () => isRecent,
    )
  }

  /** Without the promise, the run is soon abandoned unless others want it. */
  function keepFor(key: string, run: ActiveRun<Result>, { caller, signal }: Hold): RunPromise {
    const kept = promises.keep({ key, caller, run }, signal)
    return {
      ended: kept.ended,
      break() {
        kept.break()
        const active = runs.get(key)
        if (active && !promises.has(key)) abandonLater(key, active)
      },
    }
  }

  async function waitFor(key: string, run: ActiveRun<Result>, call: Join<Result>): Promise<Result> {
    const { signal, hold, onPromise } = call
    clearTimeout(run.abandonTimer)
    run.waiting += 1
    try {
      return await orCancelled(run.result, hold ? AbortSignal.any([signal, hold.signal]) : signal)
    } finally {
      if (hold && !signal.aborted && (hold.signal.aborted || hold.asksAgain)) {
        const promise = keepFor(key, run, hold)
        onPromise?.(promise)
      }
      leave(key, run)
    }
  }

  return {
    active: () => new Set(runs.keys()),
    request(key, namespace) {
      const withdraw = requests.add(key, namespace)
      const promised = ({ hold }: Join<Result>) => (hold ? promises.take(key, hold.caller) : undefined)
      return { join: call => join(key, call, promised(call)), [Symbol.dispose]: withdraw }
    },
    async close() {
      isClosed = true
      promises.close()
      const results = [...runs.values()].map(run => run.result)
      for (const run of runs.values()) {
        clearTimeout(run.abandonTimer)
        run.controller.abort(shuttingDown())
      }
      await Promise.allSettled(results)
    },
  }
}
