import { RetryableError } from '../errors.ts'

/** What the promise gives, or as soon as the signal aborts its reason as an error; the promise is left to itself then. */
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

/** What the promise gives, or Cancelled as soon as the signal aborts; the promise is left to itself then. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return unlessAborted(promise, signal, callerLeft)
}

export function callerLeft({ reason }: AbortSignal): RetryableError {
  if (reason instanceof RetryableError) return reason
  return new RetryableError('Cancelled', 'the caller went away', { cause: reason })
}

/** What the promise gives, or undefined after that time, or when it rejects; it is left to itself then. */
export function within<T>(limitMs: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise(resolve => {
    const giveUp = () => resolve(undefined)
    const timer = setTimeout(giveUp, limitMs)
    promise.then(resolve, giveUp).finally(() => clearTimeout(timer))
  })
}
