import { type ByteString, isAscii } from '../store/byte-string.ts'
import { toAscii } from '../store/escaped-text.ts'
import { type PaxRecord, paxHeader } from './pax-header.ts'
import { type HeaderFields, ID_LIMIT, NAME_BYTES, OWNER_NAME_BYTES, SIZE_LIMIT, ustarHeader } from './ustar-header.ts'

/**
 * An entry's header as Python's tarfile makes it by default (its PAX_FORMAT): what the header block cannot hold goes
 * into a pax header before it.
 */
export function tarfileHeader(fields: HeaderFields): Buffer {
  const records = recordsOf(fields)
  return records.length === 0 ? ustarHeader(fields) : Buffer.concat([paxHeader(records), ustarHeader(cut(fields))])
}

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

/** What the block holds for those that cannot read the pax header. */
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
