/** How much of something is done, over activities that come and go. */
export interface Counters {
  start(id: number): void
  /** Takes `[done, expected, …]`. False when it is nothing new, or the activity is none of these. */
  set(id: number, fields: readonly unknown[]): boolean
  /** What the activity has done stays counted. */
  stop(id: number): void
  total(): Count
}

interface Count {
  readonly done: number
  readonly expected: number
}

/** Activities at one time that are counted; nix itself has some dozens, and a builder may invent any number. */
export const MAX_ACTIVITIES = 4096

export function createCounters(): Counters {
  const running = new Map<number, Count>()
  const sum = { done: 0, expected: 0 }
  return {
    start(id) {
      if (running.size < MAX_ACTIVITIES && !running.has(id)) running.set(id, { done: 0, expected: 0 })
    },
    set(id, [done, expected]) {
      const before = running.get(id)
      if (before === undefined || !isCount(done) || !isCount(expected)) return false
      if (before.done === done && before.expected === expected) return false
      const now = { done, expected: Math.max(done, expected) }
      running.set(id, now)
      sum.done += now.done - before.done
      sum.expected += now.expected - before.expected
      return true
    },
    stop(id) {
      const { done, expected } = running.get(id) ?? { done: 0, expected: 0 }
      sum.expected += done - expected
      running.delete(id)
    },
    total: () => ({ done: asTotal(sum.done), expected: asTotal(sum.expected) }),
  }
}

/** What a program says may be any number. */
const MAX_COUNT = 2 ** 40

export function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_COUNT
}

/** A sum that is still exact as a number, however often it was added to. */
export function asTotal(sum: number): number {
  return Math.min(sum, Number.MAX_SAFE_INTEGER)
}
