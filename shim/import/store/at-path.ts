import { hasCode } from '../../../lib/error-code.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { archiveInvalid } from '../image/errors.ts'
import { type ByteString, isAscii } from './byte-string.ts'

/** The path was another kind of file a moment ago, or was there. */
const CHANGED = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EINVAL', 'ENXIO']

/**
 * Does something with a file in the store. Throws ImportInterrupted when it is not, or no more, what the folder's list
 * of names told, and ArchiveInvalid when its path is too long for the system.
 */
export function atPath<Result>(path: ByteString, read: (path: string | Buffer) => Result): Result {
  try {
    return read(isAscii(path) ? path : Buffer.from(path, 'latin1'))
  } catch (error) {
    if (hasCode(error, ...CHANGED)) throw changed(path, error)
    if (hasCode(error, 'ENAMETOOLONG')) throw archiveInvalid(`names ${show(path)}, which is too long a path`, error)
    throw error
  }
}

/** A store path never changes, but it may be collected. */
export function changed(path: ByteString, cause?: unknown): RetryableError {
  return new RetryableError('ImportInterrupted', `${show(path)} changed or went away while it was read`, { cause })
}

/** For a message. */
export function show(path: ByteString): string {
  return quote(Buffer.from(path, 'latin1').toString('utf8'))
}
