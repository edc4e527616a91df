import { FinalError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/text/size.ts'

export function imageTooLarge(maxBytes: number): FinalError {
  return new FinalError(
    'ImageTooLarge',
    `the image has more than ${formatSize(maxBytes)} decompressed, the maxImageSize of the policy rule that allows it: make the image smaller, or have that limit raised`,
  )
}
