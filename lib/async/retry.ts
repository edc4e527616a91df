import { setTimeout as delay } from 'node:timers/promises'

export interface RetryPlan {
  /** Whether another attempt may succeed. */
  readonly isTemporary: (error: unknown) => boolean
  /** Waits before the next attempt, or throws to give up. `failures`: how many attempts have failed, at least 1. */
  readonly beforeNext: (failures: number, error: unknown) => Promise<unknown>
}

/** The result of the first attempt that succeeds. Throws what the last attempt threw, or what `beforeNext` throws. */
export async function retry<Result>(
  attempt: () => Promise<Result>,
  { isTemporary, beforeNext }: RetryPlan,
): Promise<Result> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await attempt()
    } catch (error) {
      if (!isTemporary(error)) throw error
      await beforeNext(failures, error)
    }
  }
}

const SHORTEST_MS = 100
const LONGEST_MS = 10_000

/** Waits longer after each failure, with jitter. Returns immediately when the signal aborts. */
export async function backOff(failures: number, signal: AbortSignal, longestMs = LONGEST_MS): Promise<void> {
  await pause(backOffMs(failures, longestMs), signal)
}

/** Waits. Returns immediately when the signal aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {})
}

/** A time that differs by up to this share, so that not all act concurrently. */
export function jitter(ms: number, share: number): number {
  return ms * (1 - share + 2 * share * Math.random())
}

/** Milliseconds to wait: exponential with jitter. `failures`: how many there have been in a row, at least 1. */
export function backOffMs(failures: number, longestMs = LONGEST_MS, random = Math.random): number {
  const most = Math.min(SHORTEST_MS * 2 ** (failures - 1), longestMs)
  return most / 2 + (random() * most) / 2
}
