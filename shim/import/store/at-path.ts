import { closeSync, constants, openSync, readlinkSync, realpathSync } from 'node:fs'
import { hasCode } from '../../../lib/error-code.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { STORE_DIR } from '../../../recipes/store-path.ts'
import { archiveInvalid } from '../image/errors.ts'
import { type ByteString, isAscii } from './byte-string.ts'

/** The path was another kind of file a moment ago, or existed. */
const CHANGED = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EINVAL', 'ENXIO']

/**
 * Runs `read` with a path in the store. Throws ImportInterrupted if what is there has changed since its folder was listed, and
 * ArchiveInvalid if the path is too long for the system.
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

/** Store paths do not change, but they may be collected. */
export function changed(path: ByteString, cause?: unknown): RetryableError {
  return new RetryableError('ImportInterrupted', `${show(path)} changed or went away while it was read`, { cause })
}

/** For a message. */
export function show(path: ByteString): string {
  return quote(Buffer.from(path, 'latin1').toString('utf8'))
}

/** Opening follows no symlink, and does not block at a file that has become a pipe. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Opens a path that must not lead through a link: the owner of a store that is not root's could put one there to lead root
 * elsewhere. Throws ImportInterrupted then, and as atPath.
 */
export function openThere(path: ByteString, flags = 0): number {
  const file = atPath(path, at => openSync(at, FLAGS | flags))
  if (isAt(file, path)) return file
  closeSync(file)
  throw changed(path)
}

/** A link to the open file. */
export function inProc(file: number): string {
  return `/proc/self/fd/${file}`
}

function isAt(file: number, path: ByteString): boolean {
  const real = readlinkSync(inProc(file), 'buffer').toString('latin1')
  if (real === path) return true
  // The store itself may be a link.
  return path.startsWith(`${STORE_DIR}/`) && real === realpathSync(STORE_DIR) + path.slice(STORE_DIR.length)
}
