import { within } from './bounded-wait.ts'

/** Owns work that its caller need not wait for. */
export interface Background {
  /** Resolves when the task has ended, also if it fails. Starts nothing once this is closed. */
  run(task: () => Promise<void>): Promise<void>
  /** Waits for tasks that run. */
  close(limitMs: number): Promise<void>
}

export function createBackground(onError: (error: unknown) => void): Background {
  const ended = Promise.withResolvers<void>()
  let running = 0
  let isClosed = false
  return {
    async run(task) {
      if (isClosed) return
      running += 1
      try {
        await task()
      } catch (error) {
        onError(error)
      } finally {
        running -= 1
        if (isClosed && running === 0) ended.resolve()
      }
    },
    async close(limitMs) {
      isClosed = true
      if (running > 0) await within(limitMs, ended.promise)
    },
  }
}
