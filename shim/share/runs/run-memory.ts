/** What is kept between the calls of one run. Times are by performance.now(). */
export interface RunMemory {
  /** How long the run waits. */
  readonly deadline: number
  /** URLs that it could not copy from, without those that may be tried again. */
  failed(): ReadonlySet<string>
  /** A copy from there has failed just now. */
  note(url: string): void
  /** What has failed before may be tried again. */
  forgetBefore(time: number): void
}

export interface RunMemories {
  /** The set is the same in all calls of a run. */
  of(failed: ReadonlySet<string>): RunMemory
}

export function createRunMemories(waitMs: number): RunMemories {
  const memories = new WeakMap<ReadonlySet<string>, RunMemory>()
  return {
    of(failed) {
      const memory = memories.get(failed) ?? createRunMemory(failed, waitMs)
      memories.set(failed, memory)
      return memory
    },
  }
}

function createRunMemory(all: ReadonlySet<string>, waitMs: number): RunMemory {
  const failedAt = new Map<string, number>()
  let forgotten = Number.NEGATIVE_INFINITY
  return {
    deadline: performance.now() + waitMs,
    failed() {
      for (const url of all) if (!failedAt.has(url)) failedAt.set(url, performance.now())
      return new Set([...all].filter(url => (failedAt.get(url) ?? 0) >= forgotten))
    },
    note: url => void failedAt.set(url, performance.now()),
    forgetBefore(time) {
      forgotten = Math.max(forgotten, time)
    },
  }
}
