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

export function createCounters(): Counters {
  const running = new Map<number, Count>()
  let finished = 0
  return {
    start: id => void running.set(id, { done: 0, expected: 0 }),
    set(id, [done, expected]) {
      const before = running.get(id)
      if (before === undefined || typeof done !== 'number' || typeof expected !== 'number') return false
      if (before.done === done && before.expected === expected) return false
      running.set(id, { done, expected: Math.max(done, expected) })
      return true
    },
    stop(id) {
      finished += running.get(id)?.done ?? 0
      running.delete(id)
    },
    total() {
      const counts = [...running.values()]
      return {
        done: counts.reduce((sum, { done }) => sum + done, finished),
        expected: counts.reduce((sum, { expected }) => sum + expected, finished),
      }
    },
  }
}
