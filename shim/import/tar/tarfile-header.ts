import { type ByteString, isAscii, isUtf8, toAscii } from '../store/byte-string.ts'
import {
  BLOCK_BYTES,
  type HeaderFields,
  ID_LIMIT,
  NAME_BYTES,
  OWNER_NAME_BYTES,
  SIZE_LIMIT,
  ustarHeader,
} from './ustar-header.ts'

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
