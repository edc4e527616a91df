import type { ErrorCode, ShimError } from '../../../lib/errors.ts'
import { cutLines } from '../../../lib/text/cut.ts'

/** How a run ended. */
export type Ending = Success | Failure | Retrying | CalledOff

interface At {
  /** Milliseconds since 1970. */
  readonly at: number
}

export interface Success extends At {
  readonly kind: 'Succeeded'
  /** Config digest. */
  readonly imageId: string
  /** Bytes, as CRI says. */
  readonly imageSize?: number | undefined
  /** Nothing had to be built or imported. */
  readonly present: boolean
}

export interface Failure extends At {
  readonly kind: 'Failed'
  readonly message: string
  readonly logTail: string
  /** The same recipe will fail again. */
  readonly final: boolean
}

/** A failure that may pass, and is followed by another try. */
export interface Retrying extends At {
  readonly kind: 'Retrying'
  readonly message: string
  readonly logTail: string
}

/** Not the recipe's fault: it is to be built again when somebody wants it. */
export interface CalledOff extends At {
  readonly kind: 'CalledOff'
  readonly message: string
}

interface FailedAt {
  readonly at: number
  readonly lines?: readonly string[]
}

/** In characters; a writer that cannot be told yet is kept in memory. */
const MAX_MESSAGE = 4096

const CALLED_OFF: readonly ErrorCode[] = ['Cancelled', 'ShuttingDown']

export function failed(error: ShimError, { at, lines = [] }: FailedAt): Failure | CalledOff {
  const message = cutLines(error.message, MAX_MESSAGE)
  if (isCalledOff(error)) return { kind: 'CalledOff', at, message }
  return { kind: 'Failed', at, message, logTail: lines.join('\n'), final: !error.retryable }
}

export function isCalledOff({ code }: ShimError): boolean {
  return CALLED_OFF.includes(code)
}
