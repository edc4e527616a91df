import { RetryableError } from '../errors.ts'

/** Asks again while containerd is away, until the caller's signal aborts: calls are held as those that are passed on. */
export async function whenContainerdAnswers<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      const isAway = error instanceof RetryableError && error.code === 'ContainerdAway'
      if (!isAway || signal.aborted) throw error
    }
  }
}
