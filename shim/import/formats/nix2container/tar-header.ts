import { withoutEnd } from '../../../../lib/text/text.ts'
import { type ByteString, bytesOf, isAscii } from '../../store/byte-string.ts'
import { BLOCK_BYTES, ID_LIMIT, NAME_BYTES, OWNER_NAME_BYTES, SIZE_LIMIT } from '../../tar/header.ts'
import type { MergedEntry } from './entries.ts'

export interface GoHeader extends Omit<MergedEntry, 'source'> {
  /** Of a symlink. */
  readonly linkName: ByteString
  /** In seconds since 1970. */
  readonly mtime: number
}

/**
 * Formats an entry's header as Go's archive/tar does by default: ustar if that can hold everything, else pax. The mode must fit
 * into seven octal digits.
 */
export function goHeader(header: GoHeader): Buffer {
  const fields = fieldsOf(header)
  const split = splitName(fields.name)
  const records = recordsOf(fields)
  const others = records.filter(([keyword]) => keyword !== 'path')
  if (others.length === 0 && split) return block({ ...fields, ...split })
  return Buffer.concat([paxHeader(fields.name, records), block(cut(fields))])
}

interface Fields {
  readonly flag: string
  readonly name: ByteString
  readonly prefix: ByteString
  readonly linkName: ByteString
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: number
  readonly uname: ByteString
  readonly gname: ByteString
}

const FLAGS = { file: '0', symlink: '2', directory: '5' } as const

function fieldsOf(header: GoHeader): Fields {
  const { type, uname, gname } = header
  return { ...header, flag: FLAGS[type], prefix: '', uname: bytesOf(uname), gname: bytesOf(gname) }
}

const PREFIX_BYTES = 155

/** Splits a name for the fields of ustar; undefined if they cannot hold it. */
function splitName(name: ByteString): Pick<Fields, 'name' | 'prefix'> | undefined {
  if (!isAscii(name)) return undefined
  if (name.length <= NAME_BYTES) return { name, prefix: '' }
  const at = name.lastIndexOf('/', PREFIX_BYTES)
  if (at <= 0 || name.length - at - 1 > NAME_BYTES) return undefined
  return { prefix: name.slice(0, at), name: name.slice(at + 1) }
}

type PaxRecord = readonly [keyword: string, value: ByteString]

/** Values that the fields of the header block cannot hold, sorted by keyword. */
function recordsOf({ name, linkName, uname, gname, uid, gid, size }: Fields): PaxRecord[] {
  const texts = [
    ['gname', gname, OWNER_NAME_BYTES],
    ['linkpath', linkName, NAME_BYTES],
    ['path', name, NAME_BYTES],
    ['uname', uname, OWNER_NAME_BYTES],
  ] as const
  const numbers = [
    ['gid', gid, ID_LIMIT],
    ['size', size, SIZE_LIMIT],
    ['uid', uid, ID_LIMIT],
  ] as const
  const longTexts = texts.filter(([, text, length]) => text.length > length || !isAscii(text))
  const largeNumbers = numbers.filter(([, number, limit]) => number >= limit)
  const records = [...longTexts, ...largeNumbers].map(([keyword, value]): PaxRecord => [keyword, String(value)])
  return records.sort(([one], [other]) => (one < other ? -1 : 1))
}

const NOBODY = { mode: 0, uid: 0, gid: 0, mtime: 0, linkName: '', uname: '', gname: '', prefix: '' } as const

/** An entry of its own that holds the records, with a name derived from the next entry's. */
function paxHeader(name: ByteString, records: readonly PaxRecord[]): Buffer {
  const data = records.map(encode).join('')
  const slash = name.lastIndexOf('/')
  const paxName = asciiOf(`${name.slice(0, slash + 1)}PaxHeaders.0/${name.slice(slash + 1)}`).slice(0, NAME_BYTES)
  const header = block({ ...NOBODY, flag: 'x', name: withoutEnd(paxName, '/'), size: data.length }, false)
  const padding = Buffer.alloc(-data.length & (BLOCK_BYTES - 1))
  return Buffer.concat([header, Buffer.from(data, 'latin1'), padding])
}

/** The length at the start includes its own digits. */
function encode([keyword, value]: PaxRecord): ByteString {
  const rest = ` ${keyword}=${value}\n`
  let length = rest.length
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length
  return length + rest
}

/** Fields for readers that do not know pax headers. */
function cut(fields: Fields): Fields {
  const { name, linkName, uname, gname, uid, gid, size } = fields
  return {
    ...fields,
    name: cutName(asciiOf(name)),
    linkName: cutName(asciiOf(linkName)),
    uname: asciiOf(uname),
    gname: asciiOf(gname),
    uid: uid < ID_LIMIT ? uid : 0,
    gid: gid < ID_LIMIT ? gid : 0,
    size: size < SIZE_LIMIT ? size : 0,
  }
}

/** Go drops the other characters. */
function asciiOf(bytes: ByteString): ByteString {
  return bytes.replace(/[\x80-\xff]/g, '')
}

/** A name that is cut after a slash would become a folder's. */
function cutName(name: ByteString): ByteString {
  const isCutBehindSlash = name.length > NAME_BYTES && name[NAME_BYTES - 1] === '/'
  return isCutBehindSlash ? withoutEnd(name.slice(0, NAME_BYTES - 1), '/') : name
}

/** The checksum is computed with spaces in its field. */
const NO_CHECKSUM = ' '.repeat(8)
const CHECKSUM_AT = 148
const MAGIC_AND_VERSION = 'ustar\x0000'

function block(fields: Fields, hasDevice = true): Buffer {
  const { name, mode, uid, gid, size, mtime, flag, linkName, uname, gname, prefix } = fields
  const numbers = octal(mode, 8) + octal(uid, 8) + octal(gid, 8) + octal(size, 12) + octal(mtime, 12)
  const owner = text(uname, OWNER_NAME_BYTES) + text(gname, OWNER_NAME_BYTES)
  const link = flag + text(linkName, NAME_BYTES) + MAGIC_AND_VERSION
  const device = hasDevice ? octal(0, 8) + octal(0, 8) : text('', 16)
  const bytes = Buffer.alloc(BLOCK_BYTES)
  bytes.write(
    text(name, NAME_BYTES) + numbers + NO_CHECKSUM + link + owner + device + text(prefix, PREFIX_BYTES),
    'latin1',
  )
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0`, CHECKSUM_AT, 'latin1')
  return bytes
}

function text(value: ByteString, length: number): ByteString {
  return value.slice(0, length).padEnd(length, '\0')
}

function octal(value: number, length: number): string {
  return `${value.toString(8).padStart(length - 1, '0')}\0`
}
