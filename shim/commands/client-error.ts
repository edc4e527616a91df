import { accessSync, constants } from 'node:fs'
import { hasCode } from '../../lib/error-code.ts'
import { isErrorCode, RetryableError, reviveError, ShimError, toShimError } from '../../lib/errors.ts'
import { GrpcError } from '../../lib/grpc/grpc-error.ts'
import { ERROR_CODE_HEADER, STATUS } from '../../lib/grpc/status.ts'

export interface ClientCall {
  /** Path of the shim's socket. */
  readonly socket: string
  /** Cancels the call. */
  readonly signal: AbortSignal
}

/** What a call on the shim's socket failed with: ShimAway, Cancelled, or PullFailed with the shim's message, and its error as `cause`. */
export function clientError(error: unknown, { socket, signal }: ClientCall): ShimError {
  if (error instanceof ShimError) return error
  if (signal.aborted) return new RetryableError('Cancelled', 'interrupted', { cause: error })
  if (!(error instanceof GrpcError)) return toShimError(error)
  switch (error.status) {
    case STATUS.UNAVAILABLE:
      return new RetryableError('ShimAway', describeAway(socket), { cause: error })
    case STATUS.UNIMPLEMENTED:
      return new RetryableError(
        'ShimAway',
        `what listens on ${socket} is not enbi-shim, or an older one that does not know this command`,
        { cause: error },
      )
    case STATUS.CANCELLED:
      return new RetryableError('Cancelled', 'interrupted', { cause: error })
    default:
      return new RetryableError('PullFailed', error.details, { cause: originalError(error) })
  }
}

function describeAway(socket: string): string {
  try {
    accessSync(socket, constants.R_OK | constants.W_OK)
  } catch (error) {
    if (hasCode(error, 'EACCES')) return `this user may not connect to ${socket}: run the command as root`
  }
  return `no shim answers on ${socket}: is enbi-shim running there? (--socket)`
}

/** The shim sends the code of its error beside the message. */
function originalError(error: GrpcError): Error {
  const code = error.headers[ERROR_CODE_HEADER]
  return isErrorCode(code) ? reviveError(code, error.details) : error
}
