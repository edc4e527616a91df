import { pause } from '../../../lib/async/retry.ts'

/** Keeps builds and garbage collections apart as far as neither waits long: together they are safe, but slower. */
export interface StoreGuard {
  /** Runs nix for a recipe, after a collection that is running. */
  use<Result>(signal: AbortSignal, task: () => Promise<Result>): Promise<Result>
  /** Runs a collection, after nix commands that are running. */
  collect<Result>(signal: AbortSignal, task: () => Promise<Result>): Promise<Result>
}

export interface StoreGuardOptions {
  /** Longest time that a build waits for a collection. */
  readonly buildWaitMs?: number
  /** Longest time that a collection waits for builds. */
  readonly collectionWaitMs?: number
}

const BUILD_WAIT_MS = 30_000
const COLLECTION_WAIT_MS = 10_000

export function createStoreGuard({
  buildWaitMs = BUILD_WAIT_MS,
  collectionWaitMs = COLLECTION_WAIT_MS,
}: StoreGuardOptions = {}): StoreGuard {
  const uses = new Set<Promise<unknown>>()
  const collections = new Set<Promise<unknown>>()
  const track = <Result>(tasks: Set<Promise<unknown>>, task: () => Promise<Result>): Promise<Result> => {
    const running = task()
    const ended = running.catch(() => {}).finally(() => tasks.delete(ended))
    tasks.add(ended)
    return running
  }
  return {
    async use(signal, task) {
      if (collections.size > 0) await untilEnded(collections, buildWaitMs, signal)
      return track(uses, task)
    },
    async collect(signal, task) {
      if (uses.size > 0) await untilEnded(uses, collectionWaitMs, signal)
      return track(collections, task)
    },
  }
}

async function untilEnded(tasks: ReadonlySet<Promise<unknown>>, limitMs: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController()
  await Promise.race([Promise.all(tasks), pause(limitMs, AbortSignal.any([signal, over.signal]))])
  over.abort()
}
