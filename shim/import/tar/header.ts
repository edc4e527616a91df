import { type ByteString, isAscii, isUtf8, toAscii } from '../store/byte-string.ts'

/**
 * Formats an entry's header as Python's tarfile does by default (PAX_FORMAT): what the header block cannot hold goes into a pax
 * header before it.
 */
export function tarfileHeader(fields: HeaderFields): Buffer {
  const records = recordsOf(fields)
  return records.length === 0 ? ustarHeader(fields) : Buffer.concat([paxHeader(records), ustarHeader(cut(fields))])
}

/** A value that does not fit into the header, with its keyword (`path`, `linkpath`, `size`, …). */
type PaxRecord = readonly [keyword: string, value: ByteString]

/** In tarfile's order. */
function recordsOf({ name, linkName, uname, gname, uid, gid, size, mtime }: HeaderFields): PaxRecord[] {
  const records: PaxRecord[] = []
  if (!textFits(name, NAME_BYTES)) records.push(['path', name])
  if (!textFits(linkName, NAME_BYTES)) records.push(['linkpath', linkName])
  if (!textFits(uname, OWNER_NAME_BYTES)) records.push(['uname', uname])
  if (!textFits(gname, OWNER_NAME_BYTES)) records.push(['gname', gname])
  if (!numberFits(uid, ID_LIMIT)) records.push(['uid', String(uid)])
  if (!numberFits(gid, ID_LIMIT)) records.push(['gid', String(gid)])
  if (!numberFits(size, SIZE_LIMIT)) records.push(['size', String(size)])
  if (!numberFits(mtime, SIZE_LIMIT)) records.push(['mtime', String(mtime)])
  return records
}

/** Fields for readers that do not know pax headers. */
function cut(fields: HeaderFields): HeaderFields {
  const { name, linkName, uname, gname, uid, gid, size, mtime } = fields
  return {
    ...fields,
    name: toAscii(name),
    linkName: toAscii(linkName),
    uname: toAscii(uname),
    gname: toAscii(gname),
    uid: numberFits(uid, ID_LIMIT) ? uid : 0,
    gid: numberFits(gid, ID_LIMIT) ? gid : 0,
    size: numberFits(size, SIZE_LIMIT) ? size : 0,
    mtime: numberFits(mtime, SIZE_LIMIT) ? mtime : 0,
  }
}

function textFits(text: ByteString, length: number): boolean {
  return text.length <= length && isAscii(text)
}

function numberFits(value: number, limit: number): boolean {
  return value >= 0 && value < limit
}

/** Without owner and time, as Python's tarfile makes it. */
const HEADER = {
  type: 'pax',
  name: '././@PaxHeader',
  mode: 0,
  uid: 0,
  gid: 0,
  mtime: 0,
  linkName: '',
  uname: '',
  gname: '',
} as const satisfies Partial<HeaderFields>

/**
 * A pax extended header (POSIX.1-2001) with the records, in whole blocks. If a value is not UTF-8, a first record says so, as in
 * Python's tarfile.
 */
function paxHeader(records: readonly PaxRecord[]): Buffer {
  const data = [...charsetOf(records), ...records].map(encode).join('')
  const blocks = Buffer.alloc(Math.ceil(data.length / BLOCK_BYTES) * BLOCK_BYTES)
  blocks.write(data, 'latin1')
  return Buffer.concat([ustarHeader({ ...HEADER, size: data.length }), blocks])
}

function charsetOf(records: readonly PaxRecord[]): PaxRecord[] {
  return records.every(([, value]) => isUtf8(value)) ? [] : [['hdrcharset', 'BINARY']]
}

/** The length at the start includes its own digits. */
function encode([keyword, value]: PaxRecord): ByteString {
  const rest = ` ${keyword}=${value}\n`
  let length = rest.length
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length
  return length + rest
}

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
function ustarHeader({ type, name, mode, uid, gid, size, mtime, linkName, uname, gname }: HeaderFields): Buffer {
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
