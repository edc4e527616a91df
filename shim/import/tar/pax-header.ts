import type { ByteString } from '../store/byte-string.ts'
import { isUtf8 } from '../store/escaped-text.ts'
import { BLOCK_BYTES, type HeaderFields, ustarHeader } from './ustar-header.ts'

/** What does not fit into the header that follows: keyword (`path`, `linkpath`, `size`, …) and value. */
export type PaxRecord = readonly [keyword: string, value: ByteString]

/** Nobody's, and without a time: as Python's tarfile makes it. */
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
 * A pax extended header (POSIX.1-2001) with the records, in whole blocks. Values are in UTF-8; where one is not, a
 * first record says so, as Python's tarfile does it.
 */
export function paxHeader(records: readonly PaxRecord[]): Buffer {
  const data = [...charsetOf(records), ...records].map(encode).join('')
  const blocks = Buffer.alloc(Math.ceil(data.length / BLOCK_BYTES) * BLOCK_BYTES)
  blocks.write(data, 'latin1')
  return Buffer.concat([ustarHeader({ ...HEADER, size: data.length }), blocks])
}

function charsetOf(records: readonly PaxRecord[]): PaxRecord[] {
  return records.every(([, value]) => isUtf8(value)) ? [] : [['hdrcharset', 'BINARY']]
}

/** The length at its start counts its own digits, too. */
function encode([keyword, value]: PaxRecord): ByteString {
  const rest = ` ${keyword}=${value}\n`
  let length = rest.length
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length
  return length + rest
}
