import { RetryableError } from '../errors.ts'
import { createFairQueue } from './fair-queue.ts'

export interface Wait {
  /** Places are given to owners in turn. */
  readonly owner: string
  /** Gives up the place in the queue. */
  readonly signal: AbortSignal
  /** Told at once when there is no free slot, and on every change. */
  readonly onAhead: (ahead: number) => void
}

export interface Slots {
  /** Runs `task` in a slot; resolves or rejects as it does. Rejects with Cancelled when `signal` aborts before it began. */
  run<Result>(wait: Wait, task: () => Promise<Result>): Promise<Result>
}

interface Waiter {
  readonly wait: Wait
  readonly begin: () => void
  ahead?: number
}

/** At most `count` tasks at once. */
export function createSlots(count: number): Slots {
  const queue = createFairQueue<Waiter>()
  let free = count
  const beginNext = () => {
    while (free > 0) {
      const next = queue.take()
      if (next === undefined) break
      free -= 1
      next.begin()
    }
    reportPlaces(queue.inOrder())
  }
  const waitForTurn = (wait: Wait) =>
    new Promise<void>((resolve, reject) => {
      const giveUp = () => {
        if (!queue.remove(waiter)) return
        reject(new RetryableError('Cancelled', 'the build was called off while it waited for its turn'))
        beginNext()
      }
      const begin = () => {
        wait.signal.removeEventListener('abort', giveUp)
        resolve()
      }
      const waiter: Waiter = { wait, begin }
      queue.add(wait.owner, waiter)
      wait.signal.addEventListener('abort', giveUp, { once: true })
      if (wait.signal.aborted) giveUp()
      else beginNext()
    })
  return {
    async run(wait, task) {
      await waitForTurn(wait)
      try {
        return await task()
      } finally {
        free += 1
        beginNext()
      }
    },
  }
}

function reportPlaces(waiters: readonly Waiter[]): void {
  for (const [ahead, waiter] of waiters.entries()) {
    if (waiter.ahead === ahead) continue
    waiter.ahead = ahead
    waiter.wait.onAhead(ahead)
  }
}
