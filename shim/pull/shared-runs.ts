import { RetryableError, reviveError, type ShimError, toShimError } from '../errors.ts'
import { callerLeft, untilAborted } from './until-aborted.ts'

export interface SharedRunsOptions {
  /** A run that nobody has waited for during this time is aborted. */
  readonly abandonAfterMs: number
  /** A final failure answers later callers for this long without another run. */
  readonly rememberFailuresMs: number
}

export interface SharedRuns<Result> {
  /**
   * Waits for the run of that key; the first caller's `start` makes it. `signal` takes only this caller away: a run
   * goes on while somebody wants it, and for `abandonAfterMs` longer. Throws what the run throws, or Cancelled.
   */
  join(key: string, start: (signal: AbortSignal) => Promise<Result>, signal: AbortSignal): Promise<Result>
  /** Keys of the runs under way. */
  readonly active: () => ReadonlySet<string>
  /** Aborts every run and waits for their ends. */
  close(): Promise<void>
}

interface Run<Result> {
  readonly result: Promise<Result>
  readonly controller: AbortController
  waiting: number
  abandonTimer?: NodeJS.Timeout | undefined
}

/** At most this many failures are remembered; the oldest are forgotten first. */
const MAX_REMEMBERED = 1000

export function createSharedRuns<Result>({
  abandonAfterMs,
  rememberFailuresMs,
}: SharedRunsOptions): SharedRuns<Result> {
  const runs = new Map<string, Run<Result>>()
  const failures = new Map<string, { error: ShimError; until: number }>()

  function startRun(key: string, start: (signal: AbortSignal) => Promise<Result>): Run<Result> {
    const controller = new AbortController()
    const run: Run<Result> = { result: start(controller.signal), controller, waiting: 0 }
    runs.set(key, run)
    const ended = () => {
      clearTimeout(run.abandonTimer)
      if (runs.get(key) === run) runs.delete(key)
    }
    run.result.then(ended, error => {
      ended()
      remember(key, toShimError(error))
    })
    return run
  }

  function remember(key: string, error: ShimError): void {
    // Another caller's rule may allow it.
    if (error.retryable || error.code === 'PolicyRefused') return
    failures.delete(key)
    // Without what it comes from, which may be of any size.
    failures.set(key, { error: reviveError(error.code, error.message), until: Date.now() + rememberFailuresMs })
    const oldest = failures.keys().next().value
    if (failures.size > MAX_REMEMBERED && oldest !== undefined) failures.delete(oldest)
  }

  function remembered(key: string): ShimError | undefined {
    const failure = failures.get(key)
    if (failure && failure.until > Date.now()) return failure.error
    failures.delete(key)
    return undefined
  }

  function leave(key: string, run: Run<Result>): void {
    run.waiting -= 1
    if (run.waiting > 0 || runs.get(key) !== run) return
    const abandon = () => run.controller.abort(new RetryableError('Cancelled', 'nobody waits for the image any more'))
    run.abandonTimer = setTimeout(abandon, abandonAfterMs)
  }

  return {
    active: () => new Set(runs.keys()),
    async join(key, start, signal) {
      if (signal.aborted) throw callerLeft(signal)
      // A run that is being torn down is not joined, and none starts beside it.
      for (let run = runs.get(key); run?.controller.signal.aborted; run = runs.get(key))
        await untilAborted(Promise.allSettled([run.result]), signal)
      const failure = remembered(key)
      if (failure) throw failure
      const run = runs.get(key) ?? startRun(key, start)
      clearTimeout(run.abandonTimer)
      run.waiting += 1
      try {
        return await untilAborted(run.result, signal)
      } finally {
        leave(key, run)
      }
    },
    async close() {
      const results = [...runs.values()].map(run => run.result)
      for (const run of runs.values()) {
        clearTimeout(run.abandonTimer)
        run.controller.abort(new RetryableError('ShuttingDown', 'the shim is shutting down'))
      }
      await Promise.allSettled(results)
    },
  }
}
