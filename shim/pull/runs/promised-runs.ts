/** Runs that are kept for callers that are expected to ask again, with their results. */
export interface PromisedRuns<Run> {
  /** Keeps the run for the caller until `from` has aborted, and then for the time that promises last. */
  keep(promised: Promised<Run>, from: AbortSignal): RunPromise
  /** The run that was kept for the caller. Each promise is kept once. */
  take(key: string, caller: string): Run | undefined
  /** Whether a caller may still ask for the run with that key. */
  has(key: string): boolean
  /** Breaks the promises of a run. */
  forget(key: string): void
  close(): void
}

export interface Promised<Run> {
  readonly key: string
  readonly caller: string
  readonly run: Run
}

/** A run that is kept for a caller. */
export interface RunPromise {
  /** The caller will not ask again. */
  break(): void
  /** Resolves when the caller has asked again, or the promise is broken or has expired. */
  readonly ended: Promise<void>
}

interface Kept<Run> {
  readonly run: Run
  stop(): void
}

export function createPromisedRuns<Run>(lastMs: number): PromisedRuns<Run> {
  /** By key, then by caller. */
  const kept = new Map<string, Map<string, Kept<Run>>>()

  function take(key: string, caller: string): Run | undefined {
    const ofKey = kept.get(key)
    const found = ofKey?.get(caller)
    found?.stop()
    ofKey?.delete(caller)
    if (ofKey?.size === 0) kept.delete(key)
    return found?.run
  }

  function forget(key: string): void {
    for (const { stop } of kept.get(key)?.values() ?? []) stop()
    kept.delete(key)
  }

  return {
    keep({ key, caller, run }, from) {
      take(key, caller)
      const ended = Promise.withResolvers<void>()
      let timer: NodeJS.Timeout | undefined
      const begin = () => {
        timer = setTimeout(take, lastMs, key, caller)
      }
      const stop = () => {
        clearTimeout(timer)
        from.removeEventListener('abort', begin)
        ended.resolve()
      }
      if (from.aborted) begin()
      else from.addEventListener('abort', begin, { once: true })
      const own = { run, stop }
      kept.set(key, (kept.get(key) ?? new Map<string, Kept<Run>>()).set(caller, own))
      return {
        ended: ended.promise,
        break() {
          if (kept.get(key)?.get(caller) === own) take(key, caller)
        },
      }
    },
    take,
    has: key => kept.has(key),
    forget,
    close() {
      for (const key of kept.keys()) forget(key)
    },
  }
}
