import { once } from 'node:events'
import { backOffMs } from '../lib/async/retry.ts'
import { createFairKeys } from '../lib/queues/fair-keys.ts'
import { MAX_TIMER_MS } from '../lib/text/units.ts'

/** Longest pause before a key is retried. */
const LONGEST_BACK_OFF_MS = 60_000

export interface WorkQueueOptions {
  /** Never runs twice at a time for one key. If it throws, the key is retried after a growing pause. */
  readonly work: (key: string) => Promise<void>
  readonly workers: number
  /**
   * Groups take turns, and one group uses at most a quarter of the workers. So a group with many or slow keys does not
   * delay the others.
   */
  readonly groupOf: (key: string) => string
  readonly onError: (key: string, error: unknown) => void
  /** No work starts after it aborts. */
  readonly signal: AbortSignal
}

/** Keys to reconcile. A key that is added again before its turn is worked on once. Groups of keys take turns. */
export interface WorkQueue {
  /** A key that is added while it is worked on gets another turn. */
  add(key: string): void
  /** Adds the key at this time of Date.now(), unless it is already scheduled earlier. */
  addAt(key: string, time: number): void
  /** Starts the workers. Resolves once the signal has aborted and the last worker is done. */
  run(): Promise<void>
  readonly waiting: number
  readonly busy: number
}

export function createWorkQueue({ work, workers, groupOf, onError, signal }: WorkQueueOptions): WorkQueue {
  const ready = createFairKeys(groupOf)
  const busy = new Map<string, Promise<void>>()
  /** Number of busy workers per group. */
  const shares = new Map<string, number>()
  const maxPerGroup = Math.max(1, Math.floor(workers / 4))
  const readded = new Set<string>()
  const failures = new Map<string, number>()
  const timers = new Map<string, { readonly time: number; readonly timer: NodeJS.Timeout }>()
  let isRunning = false
  let isStartScheduled = false

  function add(key: string): void {
    if (busy.has(key)) readded.add(key)
    else ready.add(key)
    scheduleStart()
  }

  function addAt(key: string, time: number): void {
    const before = timers.get(key)
    if (signal.aborted || (before && before.time <= time)) return
    clearTimeout(before?.timer)
    const onTime = () => {
      timers.delete(key)
      add(key)
    }
    const timer = setTimeout(onTime, Math.min(Math.max(0, time - Date.now()), MAX_TIMER_MS))
    timers.set(key, { time, timer })
  }

  /** Deferred, as the caller that adds keys may not have finished updating the state that the work reads. */
  function scheduleStart(): void {
    if (isStartScheduled) return
    isStartScheduled = true
    setImmediate(() => {
      isStartScheduled = false
      start()
    })
  }

  function start(): void {
    if (!isRunning || signal.aborted) return
    const mayTake = (group: string) => (shares.get(group) ?? 0) < maxPerGroup
    while (busy.size < workers) {
      const key = ready.take(mayTake)
      if (key === undefined) return
      countBusy(key, 1)
      busy.set(key, take(key))
    }
  }

  function countBusy(key: string, change: 1 | -1): void {
    const group = groupOf(key)
    const count = (shares.get(group) ?? 0) + change
    if (count === 0) shares.delete(group)
    else shares.set(group, count)
  }

  async function take(key: string): Promise<void> {
    try {
      await work(key)
      failures.delete(key)
      if (readded.has(key)) ready.add(key)
    } catch (error) {
      const count = (failures.get(key) ?? 0) + 1
      failures.set(key, count)
      addAt(key, Date.now() + backOffMs(count, LONGEST_BACK_OFF_MS))
      onError(key, error)
    } finally {
      readded.delete(key)
      busy.delete(key)
      countBusy(key, -1)
      scheduleStart()
    }
  }

  return {
    add,
    addAt,
    async run() {
      isRunning = true
      start()
      if (!signal.aborted) await once(signal, 'abort')
      for (const { timer } of timers.values()) clearTimeout(timer)
      await Promise.all(busy.values())
    },
    get waiting() {
      return ready.size
    },
    get busy() {
      return busy.size
    },
  }
}
