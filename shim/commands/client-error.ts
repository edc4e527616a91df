import { accessSync, constants } from 'node:fs'
import { type ServiceError, status } from '@grpc/grpc-js'
import { hasCode } from '../../lib/error-code.ts'
import { isErrorCode, RetryableError, reviveError } from '../../lib/errors.ts'
import { ERROR_CODE_HEADER } from '../../lib/grpc/status.ts'

/** What a call on the shim's socket failed with: ShimAway, Cancelled, or PullFailed with the shim's message, and its error as `cause`. */
export function clientError(error: unknown, socket: string): RetryableError {
  if (!isServiceError(error)) return new RetryableError('Internal', String(error), { cause: error })
  switch (error.code) {
    case status.UNAVAILABLE:
      return new RetryableError('ShimAway', describeAway(socket), { cause: error })
    case status.UNIMPLEMENTED:
      return new RetryableError(
        'ShimAway',
        `what listens on ${socket} is not enbi-shim, or an older one that does not know this command`,
        { cause: error },
      )
    case status.CANCELLED:
      return new RetryableError('Cancelled', 'interrupted', { cause: error })
    default:
      return new RetryableError('PullFailed', error.details, { cause: toldError(error) })
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

function toldError(error: ServiceError): Error {
  const [code] = error.metadata.get(ERROR_CODE_HEADER)
  return isErrorCode(code) ? reviveError(code, error.details) : error
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error
}
