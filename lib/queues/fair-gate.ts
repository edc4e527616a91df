import { RetryableError } from '../errors.ts'
import type { Owners } from './fair-order.ts'
import { createFairOrder, type Turn } from './fair-order.ts'

export interface FairGateOptions {
  readonly count: number
  /** Limit per owner; by default `count`. */
  readonly perOwner?: number
  /** Noun for error messages, such as `build`. */
  readonly what: string
}

export interface Wait {
  readonly owners: Owners
  /** Of the tasks with the same key, one runs at a time. */
  readonly key?: string
  /** Aborted to leave the queue. */
  readonly signal: AbortSignal
  /** Called with the number of tasks ahead if the task must wait, and whenever the number changes. */
  readonly onAhead?: (ahead: number) => void
}

/** Lets a limited number of tasks run at a time, fairly across their owners. */
export interface FairGate {
  /**
   * Runs `task` when its turn comes and settles as it does. Rejects with Cancelled if `signal` aborts before it began.
   */
  run<Result>(wait: Wait, task: () => Promise<Result>): Promise<Result>
}

/** Limit per owner that leaves one place free for the next owner. A single place can only be shared in turn. */
export function shareOf(count: number): number {
  return Math.max(1, count - 1)
}

interface Waiter {
  readonly owners: Owners
  readonly key: string | undefined
  readonly onAhead: ((ahead: number) => void) | undefined
  readonly begin: (turn: Turn<Waiter>) => void
  ahead?: number
}

/** At most `count` tasks run at a time. */
export function createFairGate({ count, perOwner = count, what }: FairGateOptions): FairGate {
  const turns = createFairOrder<Waiter>(perOwner)
  const waiting = new Set<Waiter>()
  let free = count

  const beginNext = () => {
    while (free > 0) {
      const turn = turns.next([...waiting])
      if (turn === undefined) break
      waiting.delete(turn.waiter)
      free -= 1
      turns.begin(turn)
      turn.waiter.begin(turn)
    }
    reportPlaces(turns.inOrder([...waiting]))
  }

  const waitForTurn = ({ owners, key, signal, onAhead }: Wait) =>
    new Promise<Turn<Waiter>>((resolve, reject) => {
      const stopWatching = owners.onChange(beginNext)
      const leave = () => {
        stopWatching()
        signal.removeEventListener('abort', giveUp)
      }
      const giveUp = () => {
        leave()
        waiting.delete(waiter)
        reject(new RetryableError('Cancelled', `the ${what} was cancelled while it waited for its turn`))
        beginNext()
      }
      const begin = (turn: Turn<Waiter>) => {
        leave()
        resolve(turn)
      }
      const waiter: Waiter = { owners, key, onAhead, begin }
      waiting.add(waiter)
      signal.addEventListener('abort', giveUp, { once: true })
      if (signal.aborted) giveUp()
      else beginNext()
    })

  return {
    async run(wait, task) {
      const turn = await waitForTurn(wait)
      try {
        return await task()
      } finally {
        free += 1
        turns.end(turn)
        beginNext()
      }
    },
  }
}

function reportPlaces(waiters: readonly Waiter[]): void {
  for (const [ahead, waiter] of waiters.entries()) {
    if (waiter.ahead === ahead) continue
    waiter.ahead = ahead
    waiter.onAhead?.(ahead)
  }
}
