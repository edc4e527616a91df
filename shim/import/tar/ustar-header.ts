import type { ByteString } from '../store/byte-string.ts'

/** A tar consists of blocks. */
export const BLOCK_BYTES = 512

/** Length of the fields. */
export const NAME_BYTES = 100
export const OWNER_NAME_BYTES = 32

/** Linux has no permissions for symlinks. */
export const SYMLINK_MODE = 0o777

/** The lowest numbers that the fields cannot hold. */
export const ID_LIMIT = 8 ** 7
export const SIZE_LIMIT = 8 ** 11

const TYPE_FLAGS = { file: '0', symlink: '2', directory: '5', pax: 'x' } as const

export interface HeaderFields {
  /** `pax`: records for the header that follows. */
  readonly type: keyof typeof TYPE_FLAGS
  /** A directory's name ends with a slash. */
  readonly name: ByteString
  /** Only permissions. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** In bytes. */
  readonly size: number
  /** In seconds since 1970. */
  readonly mtime: number
  /** Of a symlink. */
  readonly linkName: ByteString
  readonly uname: ByteString
  readonly gname: ByteString
}

/** The checksum is computed with spaces in its field. */
const NO_CHECKSUM = ' '.repeat(8)
const CHECKSUM_AT = 148
const MAGIC_AND_VERSION = 'ustar\x0000'

/**
 * A header block (POSIX ustar) as Python's tarfile makes it: octal numbers with leading zeros and a final NUL, text cut to its
 * field, no device numbers, no prefix. Numbers must fit, and text must be ASCII.
 */
export function ustarHeader({ type, name, mode, uid, gid, size, mtime, linkName, uname, gname }: HeaderFields): Buffer {
  const numbers = octal(mode, 8) + octal(uid, 8) + octal(gid, 8) + octal(size, 12) + octal(mtime, 12)
  const owner = text(uname, OWNER_NAME_BYTES) + text(gname, OWNER_NAME_BYTES)
  const link = TYPE_FLAGS[type] + text(linkName, NAME_BYTES)
  const block = Buffer.allocUnsafe(BLOCK_BYTES)
  const end = block.write(text(name, NAME_BYTES) + numbers + NO_CHECKSUM + link + MAGIC_AND_VERSION + owner, 'latin1')
  block.fill(0, end)
  block.write(`${sum(block).toString(8).padStart(6, '0')}\0`, CHECKSUM_AT, 'latin1')
  return block
}

function text(value: ByteString, length: number): ByteString {
  return value.slice(0, length).padEnd(length, '\0')
}

function octal(value: number, length: number): string {
  return `${value.toString(8).padStart(length - 1, '0')}\0`
}

function sum(block: Buffer): number {
  let total = 0
  for (const byte of block) total += byte
  return total
}
