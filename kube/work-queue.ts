import { once } from 'node:events'
import { backOffMs } from '../lib/async/retry.ts'
import { createFairKeys } from '../lib/queues/fair-keys.ts'
import { MAX_TIMER_MS } from '../lib/text/duration.ts'

/** Longest pause between two tries of one item, in milliseconds. */
const LONGEST_BACK_OFF_MS = 60_000

export interface WorkQueuePlan {
  /** Never runs twice at a time for one key. What it throws makes the key wait, longer each time. */
  readonly work: (key: string) => Promise<void>
  readonly workers: number
  /** Groups take turns, and one has at most a quarter of the workers: whoever has many keys, or slow ones, holds up nobody else. */
  readonly groupOf: (key: string) => string
  readonly onError: (key: string, error: unknown) => void
  /** Once aborted nothing more is begun. */
  readonly signal: AbortSignal
}

/** Keys that are to be looked at. One that is added again before its turn has just that one turn. Groups of keys take turns. */
export interface WorkQueue {
  /** While it is being worked on, it gets another turn. */
  add(key: string): void
  /** Adds it at that time of Date.now(), unless it is to come sooner. */
  addAt(key: string, time: number): void
  /** Begins to work. Resolves once the signal has aborted and the last worker is done. */
  run(): Promise<void>
  readonly waiting: number
  readonly busy: number
}

export function createWorkQueue({ work, workers, groupOf, onError, signal }: WorkQueuePlan): WorkQueue {
  const ready = createFairKeys(groupOf)
  const busy = new Map<string, Promise<void>>()
  /** How many are busy of each group. */
  const shares = new Map<string, number>()
  const mostOfGroup = Math.max(1, Math.floor(workers / 4))
  const again = new Set<string>()
  const failures = new Map<string, number>()
  const timers = new Map<string, { readonly time: number; readonly timer: NodeJS.Timeout }>()
  let isRunning = false
  let isBeginning = false

  function add(key: string): void {
    if (busy.has(key)) again.add(key)
    else ready.add(key)
    beginSoon()
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

  /** Not in the midst of what adds keys: it may not be done with what the work looks at. */
  function beginSoon(): void {
    if (isBeginning) return
    isBeginning = true
    setImmediate(() => {
      isBeginning = false
      begin()
    })
  }

  function begin(): void {
    if (!isRunning || signal.aborted) return
    const mayTake = (group: string) => (shares.get(group) ?? 0) < mostOfGroup
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
      if (again.has(key)) ready.add(key)
    } catch (error) {
      const count = (failures.get(key) ?? 0) + 1
      failures.set(key, count)
      addAt(key, Date.now() + backOffMs(count, LONGEST_BACK_OFF_MS))
      onError(key, error)
    } finally {
      again.delete(key)
      busy.delete(key)
      countBusy(key, -1)
      beginSoon()
    }
  }

  return {
    add,
    addAt,
    async run() {
      isRunning = true
      begin()
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
