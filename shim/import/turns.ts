import { RetryableError } from '../errors.ts'

/** Lets work run: at most so much at once, and one piece after another for each key. */
export interface Turns {
  /** Rejects with Cancelled when the signal is aborted before the turn comes. */
  take<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>
}

interface Waiting {
  readonly key: string
  readonly start: () => void
}

export function createTurns(limit: number): Turns {
  const running = new Set<string>()
  const waiting: Waiting[] = []

  /** In order, but nobody waits for the turn of another key. */
  function startNext(): void {
    if (running.size >= limit) return
    const index = waiting.findIndex(({ key }) => !running.has(key))
    const [next] = index === -1 ? [] : waiting.splice(index, 1)
    if (!next) return
    running.add(next.key)
    next.start()
    startNext()
  }

  function turn(key: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const entry: Waiting = {
        key,
        start() {
          signal.removeEventListener('abort', giveUp)
          resolve()
        },
      }
      const giveUp = () => {
        waiting.splice(waiting.indexOf(entry), 1)
        reject(new RetryableError('Cancelled', 'the import was cancelled', { cause: signal.reason }))
      }
      if (signal.aborted) return reject(new RetryableError('Cancelled', 'the import was cancelled'))
      signal.addEventListener('abort', giveUp, { once: true })
      waiting.push(entry)
      startNext()
    })
  }

  return {
    async take(key, signal, work) {
      await turn(key, signal)
      try {
        return await work()
      } finally {
        running.delete(key)
        startNext()
      }
    },
  }
}
