import type { ErrorCode, ShimError } from '../../../lib/errors.ts'
import { cutLines } from '../../../lib/text/cut.ts'

export type RunOutcome = Success | Failure | Retrying | CancelledRun

interface At {
  /** Milliseconds since 1970. */
  readonly at: number
}

export interface Success extends At {
  readonly kind: 'Succeeded'
  /** Config digest. */
  readonly imageId: string
  /** Bytes, as reported by CRI. */
  readonly imageSize?: number | undefined
  /** The image existed: nothing was built or imported. */
  readonly present: boolean
}

export interface Failure extends At {
  readonly kind: 'Failed'
  readonly message: string
  readonly logTail: string
  /** The same recipe will fail again. */
  readonly final: boolean
}

/** A temporary failure that is followed by another attempt. */
export interface Retrying extends At {
  readonly kind: 'Retrying'
  readonly message: string
  readonly logTail: string
}

/** Not the recipe's fault: the next request builds it again. */
export interface CancelledRun extends At {
  readonly kind: 'Cancelled'
  readonly message: string
}

interface FailedAt {
  readonly at: number
  readonly lines?: readonly string[]
}

/** In characters. Writers keep messages in memory while the API server is unreachable. */
const MAX_MESSAGE = 4096

const CANCELLED: readonly ErrorCode[] = ['Cancelled', 'ShuttingDown']

export function failed(error: ShimError, { at, lines = [] }: FailedAt): Failure | CancelledRun {
  const message = cutLines(error.message, MAX_MESSAGE)
  if (isCancelled(error)) return { kind: 'Cancelled', at, message }
  return { kind: 'Failed', at, message, logTail: lines.join('\n'), final: !error.retryable }
}

export function isCancelled({ code }: ShimError): boolean {
  return CANCELLED.includes(code)
}
