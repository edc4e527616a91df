import { RetryableError } from '../errors.ts'

/** Resolves as the promise does. If the signal aborts first, rejects with its reason, or with what `errorOf` makes of it; the promise keeps running. */
export function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  errorOf: (signal: AbortSignal) => unknown = ({ reason }) => reason,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(errorOf(signal))
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}

/** Resolves as the promise does. If the signal aborts first, rejects with Cancelled; the promise keeps running. */
export function orCancelled<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return unlessAborted(promise, signal, callerLeft)
}

export function callerLeft({ reason }: AbortSignal): RetryableError {
  if (reason instanceof RetryableError) return reason
  return new RetryableError('Cancelled', 'the caller went away', { cause: reason })
}

/** Resolves as the promise does, or to undefined if it rejects or takes longer than `limitMs`. It keeps running. */
export function within<T>(limitMs: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise(resolve => {
    const giveUp = () => resolve(undefined)
    const timer = setTimeout(giveUp, limitMs)
    promise.then(resolve, giveUp).finally(() => clearTimeout(timer))
  })
}
