import { RetryableError, type ShimError, toShimError } from '../../../lib/errors.ts'
import { GrpcError, isAway } from '../../../lib/grpc/grpc-error.ts'

/** Anything thrown by a call to containerd, as an error of the catalogue with the original as `cause`. */
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
