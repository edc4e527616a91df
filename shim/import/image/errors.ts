import { FinalError } from '../../../lib/errors.ts'

/** The build output is meant as an image and is none that can be used. `detail` goes on from "the image archive". */
export function archiveInvalid(detail: string, cause?: unknown): FinalError {
  return new FinalError('ArchiveInvalid', `the image archive ${detail}`, { cause })
}
