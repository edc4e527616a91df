import { FinalError } from '../errors.ts'
import { formatSize } from '../size.ts'

/** Counts what the layers of an image have, decompressed, against the most that the rule allows. */
export interface SizeLimit {
  /** Throws ImageTooLarge. */
  add(bytes: number): void
  /** Another count, of what this one has left. */
  part(): SizeLimit
}

export function createSizeLimit(maxBytes: number, rest = maxBytes): SizeLimit {
  let left = rest
  return {
    add(bytes) {
      left -= bytes
      if (left < 0) throw imageTooLarge(maxBytes)
    },
    part: () => createSizeLimit(maxBytes, left),
  }
}

function imageTooLarge(maxBytes: number): FinalError {
  return new FinalError(
    'ImageTooLarge',
    `the image has more than ${formatSize(maxBytes)} decompressed, the maxImageSize of the policy rule that allows it: make the image smaller, or have that limit raised`,
  )
}
