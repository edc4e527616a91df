import { closeSync, constants, openSync, readlinkSync, realpathSync } from 'node:fs'
import { hasCode } from '../../../lib/error-code.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { STORE_DIR } from '../../../recipes/store-path.ts'
import { archiveInvalid } from '../image/errors.ts'
import { type ByteString, isAscii } from './byte-string.ts'

/** Opening takes no symlink for the file, and waits for nobody at what became a pipe. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

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

/**
 * Opens what is at a path that has no link on its way: where whoever owns the store puts one there meanwhile, it would lead
 * root elsewhere. Throws ImportInterrupted then, and as atPath.
 */
export function openThere(path: ByteString, flags = 0): number {
  const file = atPath(path, at => openSync(at, FLAGS | flags))
  if (isAt(file, path)) return file
  closeSync(file)
  throw changed(path)
}

/** Leads to what was opened. */
export function inProc(file: number): string {
  return `/proc/self/fd/${file}`
}

function isAt(file: number, path: ByteString): boolean {
  const real = readlinkSync(inProc(file), 'buffer').toString('latin1')
  if (real === path) return true
  // The store itself may be reached by a link.
  return path.startsWith(`${STORE_DIR}/`) && real === realpathSync(STORE_DIR) + path.slice(STORE_DIR.length)
}
