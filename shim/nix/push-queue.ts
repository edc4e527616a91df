import type { Logger } from 'pino'
import { backOff } from '../../lib/async/retry.ts'
import { messageOf } from '../../lib/errors.ts'
import { ownedBy } from '../../lib/queues/fair-order.ts'
import type { BuildHelpers, WithJob } from './build-helpers.ts'

export interface PushOptions {
  readonly url: string
  readonly helpers: Pick<BuildHelpers, 'push'>
  readonly withJob: WithJob
  readonly stopping: AbortSignal | undefined
  readonly logger: Pick<Logger, 'info' | 'warn'>
}

const PUSH_TIMEOUT_MS = 3_600_000
/** The caches of what is pushed count for no namespace. */
const NOBODY = ownedBy('')

/** Pushes store paths to the store with that URL, each in a helper. */
export function createPush({
  url,
  helpers,
  withJob,
  stopping = new AbortController().signal,
  logger,
}: PushOptions): Push {
  return createPushQueue({
    push(storePath, signal) {
      const call = { owners: NOBODY, signal, onProgress: () => {} }
      const push = { storePath, url, timeoutMs: PUSH_TIMEOUT_MS }
      return withJob({ image: storePath, storePath }, call, job => helpers.push({ ...job, push }, signal))
    },
    stopping,
    logger,
  })
}

/** Resolves when the path has been pushed, or is given up. Never rejects. */
export type Push = (storePath: string) => Promise<void>

export interface PushQueueOptions {
  /** Copies the path to the store. */
  readonly push: (storePath: string, signal: AbortSignal) => Promise<void>
  /** Ends the queue, and what it runs. */
  readonly stopping: AbortSignal
  readonly logger: Pick<Logger, 'info' | 'warn'>
  /** The longest pause after failures. */
  readonly longestPauseMs?: number
}

/** Store paths that wait. Later pulls of other nodes copy them from this one, or build them. */
const MAX_WAITING = 1000
/** With growing pauses, these take more than an hour. */
const MAX_TRIES = 24
const LONGEST_PAUSE_MS = 300_000

/** Copies store paths to another store in the background, one after another. No pull waits for it, or fails because of it. */
export function createPushQueue({ push, stopping, logger, longestPauseMs = LONGEST_PAUSE_MS }: PushQueueOptions): Push {
  /** In their order. */
  const waiting = new Map<string, Waiting>()
  let isRunning = false
  let failures = 0

  const tryNext = async (storePath: string, path: Waiting) => {
    const tries = path.tries + 1
    try {
      await push(storePath, stopping)
      path.resolve()
      if (failures > 0) logger.info('pushing built store paths works again')
      failures = 0
    } catch (error) {
      if (stopping.aborted) return path.resolve()
      failures += 1
      if (failures === 1) logger.warn({ reason: messageOf(error) }, 'pushing a built store path failed: trying again')
      if (tries < MAX_TRIES) putBack(storePath, { ...path, tries })
      else giveUp(storePath, path, 'it has failed too often')
      await backOff(failures, stopping, longestPauseMs)
    }
  }
  /** The path may have been built again meanwhile. */
  const putBack = (storePath: string, path: Waiting) => {
    const newer = waiting.get(storePath)
    if (newer) void newer.ended.then(path.resolve)
    else waiting.set(storePath, path)
  }
  const giveUp = (storePath: string, { resolve }: Waiting, why: string) => {
    logger.warn({ storePath }, `a store path is not pushed: ${why}`)
    resolve()
  }
  const run = async () => {
    isRunning = true
    for (let next = first(waiting); next && !stopping.aborted; next = first(waiting)) {
      const [storePath, path] = next
      waiting.delete(storePath)
      await tryNext(storePath, path)
    }
    if (stopping.aborted) for (const { resolve } of waiting.values()) resolve()
    isRunning = false
  }
  return storePath => {
    if (stopping.aborted) return Promise.resolve()
    const path = waiting.get(storePath) ?? newWaiting()
    waiting.set(storePath, { ...path, tries: 0 })
    const oldest = first(waiting)
    if (waiting.size > MAX_WAITING && oldest) {
      waiting.delete(oldest[0])
      giveUp(...oldest, 'too many wait')
    }
    if (!isRunning) void run()
    return path.ended
  }
}

/** A path that waits. */
interface Waiting {
  /** How often it has failed. */
  readonly tries: number
  readonly ended: Promise<void>
  resolve(): void
}

function newWaiting(): Waiting {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { tries: 0, ended: promise, resolve }
}

function first<Key, Value>(map: ReadonlyMap<Key, Value>): [Key, Value] | undefined {
  return map.entries().next().value
}
