import { RetryableError } from '../errors.ts'

/** What the promise gives, or Cancelled as soon as the signal aborts; the promise is left to itself then. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(callerLeft(signal))
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}

export function callerLeft({ reason }: AbortSignal): RetryableError {
  if (reason instanceof RetryableError) return reason
  return new RetryableError('Cancelled', 'the caller went away', { cause: reason })
}
