import { FinalError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/text/units.ts'

/** The build result is meant to be an image, but cannot be used. `detail` continues "the image archive". */
export function archiveInvalid(detail: string, cause?: unknown): FinalError {
  return new FinalError('ArchiveInvalid', `the image archive ${detail}`, { cause })
}

export function imageTooLarge(maxBytes: number): FinalError {
  return new FinalError(
    'ImageTooLarge',
    `the image has more than ${formatSize(maxBytes)} decompressed, the maxImageSize of the policy rule that allows it: make the image smaller, or have that limit raised`,
  )
}
