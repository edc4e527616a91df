import { hasCode } from '../../../lib/error-code.ts'
import { messageOf, RetryableError, ShimError } from '../../../lib/errors.ts'
import { archiveInvalid } from '../image/errors.ts'

/** Anything that went wrong with files, as an error of the catalogue. */
export function toLinkError(cause: unknown): ShimError {
  if (cause instanceof ShimError) return cause
  if (hasCode(cause, 'ENOSPC', 'EDQUOT'))
    return new RetryableError('DiskFull', `no room for a layer: ${messageOf(cause)}`, { cause })
  if (hasCode(cause, 'ENAMETOOLONG'))
    return archiveInvalid(`has a path that is too long for containerd's folders: ${messageOf(cause)}`, cause)
  return new RetryableError('ImportInterrupted', `a layer cannot be filled: ${messageOf(cause)}`, { cause })
}
