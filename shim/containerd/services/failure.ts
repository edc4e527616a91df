import { RetryableError, type ShimError, toShimError } from '../../../lib/errors.ts'
import { GrpcError, hasStatus } from '../../../lib/grpc/grpc-error.ts'
import { STATUS } from '../../../lib/grpc/status.ts'

/** Turns anything that a call to containerd throws into an error of the catalog, with the original as `cause`. */
export function toContainerdFailure(error: unknown): ShimError {
  return error instanceof GrpcError ? fromGrpc(error) : toShimError(error)
}

function fromGrpc(cause: GrpcError): ShimError {
  const { details, message } = cause
  if (/no space left on device|disk quota exceeded/i.test(details))
    return new RetryableError('DiskFull', `the disk of containerd is full: ${message}`, { cause })
  if (isAway(cause)) return new RetryableError('ContainerdAway', `containerd cannot be reached: ${details}`, { cause })
  return new RetryableError('ContainerdFailed', `containerd failed: ${message}`, { cause })
}

/** Whether containerd could not serve the call yet. Its CRI plugin starts after the rest, and says so in the message only. */
export function isAway(error: unknown): boolean {
  return hasStatus(error, STATUS.UNAVAILABLE) || (error instanceof GrpcError && NOT_YET.test(error.details))
}

const NOT_YET = /server is not initialized yet/
