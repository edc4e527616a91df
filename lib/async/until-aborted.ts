import { RetryableError } from '../errors.ts'
import { unlessAborted } from './unless-aborted.ts'

/** What the promise gives, or Cancelled as soon as the signal aborts; the promise is left to itself then. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return unlessAborted(promise, signal, callerLeft)
}

export function callerLeft({ reason }: AbortSignal): RetryableError {
  if (reason instanceof RetryableError) return reason
  return new RetryableError('Cancelled', 'the caller went away', { cause: reason })
}
