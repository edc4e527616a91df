import { archiveInvalid } from '../image/errors.ts'

/**
 * Follows the headers of a tar as Go's archive/tar does (src/archive/tar/reader.go), which containerd unpacks with. A sparse file
 * has a few bytes in the tar, and any number of bytes once Go has read it.
 */
export interface TarScan {
  /** Throws ArchiveInvalid for a sparse file, and for a header that cannot be read. */
  push(bytes: Buffer): void
}

/** A file, folder or link. The name is unchanged, with one character for each byte. The size is that of the body in bytes. */
export interface TarFile {
  readonly name: string
  readonly size: number
}

const BLOCK_BYTES = 512
/** Longest extended header, of pax or with a long name, that Go accepts. */
const MAX_META_BYTES = 1024 * 1024

/** What extended headers say of the next file. */
interface Extended {
  readonly longName?: string
  readonly pax?: ReadonlyMap<string, string>
}

interface Meta {
  readonly type: string
  readonly size: number
  readonly chunks: Buffer[]
}

type Blocks = 'first' | 'header' | 'zero' | 'ended'

export function createTarScan(onEntry: (file: TarFile) => void = () => {}): TarScan {
  const block = Buffer.alloc(BLOCK_BYTES)
  let filled = 0
  let expected: Blocks = 'first'
  /** Bytes of a body and its padding. */
  let left = 0
  let meta: Meta | undefined
  let extended: Extended = {}

  function readHeader(): void {
    if (block.every(byte => byte === 0)) {
      expected = expected === 'zero' ? 'ended' : 'zero'
      return
    }
    // Go ends here without an error: at a header behind an empty block, and at a first block that is not a header.
    if (expected === 'zero' || (expected === 'first' && !hasChecksum(block))) {
      expected = 'ended'
      return
    }
    if (!hasChecksum(block)) throw unreadable()
    expected = 'header'
    const type = String.fromCharCode(block[156] ?? 0)
    if ('xgLK'.includes(type)) beginMeta(type)
    else readFile(type)
  }

  function beginMeta(type: string): void {
    const size = numberIn(block.subarray(124, 136))
    if (size > MAX_META_BYTES) throw unreadable()
    meta = { type, size, chunks: [] }
    left = padded(size)
    if (left === 0) endMeta(meta)
  }

  function endMeta({ type, size, chunks }: Meta): void {
    const text = Buffer.concat(chunks).toString('latin1', 0, size)
    meta = undefined
    if (type === 'L') extended = { ...extended, longName: upToNul(text) }
    if (type === 'x') extended = { ...extended, pax: paxRecords(text) }
    // To Go, a global header is an entry by itself, so that earlier extended headers apply to it instead of to the next file.
    if (type === 'g') extended = {}
  }

  function readFile(type: string): void {
    const { pax, longName } = extended
    extended = {}
    if (type === 'S' || [...(pax?.keys() ?? [])].some(key => key.startsWith('GNU.sparse.'))) throw sparse()
    const size = sizeIn(pax) ?? numberIn(block.subarray(124, 136))
    const name = longName || pax?.get('path') || upToNul(block.toString('latin1', 0, 100))
    // With a prefix, the name would end with a slash, and the entry would be a folder without a body. Whether the header has a
    // prefix depends on its format, so such an entry is rejected.
    if (type === '\0' && name === '' && size > 0) throw unreadable()
    const hasBody = !'123456'.includes(type) && !(type === '\0' && name.endsWith('/'))
    left = hasBody ? padded(size) : 0
    onEntry({ name, size: hasBody ? size : 0 })
  }

  function take(bytes: Buffer): number {
    if (expected === 'ended') return bytes.length
    if (left === 0) return fill(bytes)
    const part = bytes.subarray(0, left)
    meta?.chunks.push(part)
    left -= part.length
    if (left === 0 && meta) endMeta(meta)
    return part.length
  }

  function fill(bytes: Buffer): number {
    const copied = bytes.copy(block, filled)
    filled = (filled + copied) % BLOCK_BYTES
    if (filled === 0) readHeader()
    return copied
  }

  return {
    push(bytes) {
      for (let at = 0; at < bytes.length; ) at += take(bytes.subarray(at))
    },
  }
}

function hasChecksum(block: Buffer): boolean {
  let unsigned = 0
  let signed = 0
  for (let at = 0; at < BLOCK_BYTES; at += 1) {
    const byte = at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0)
    unsigned += byte
    signed += byte > 127 ? byte - 256 : byte
  }
  const value = octal(block.subarray(148, 156))
  return value === unsigned || value === signed
}

/** The number is in octal digits, or binary and big-endian if the first bit is set. */
function numberIn(field: Buffer): number {
  const [first = 0] = field
  const value = first & 0x80 ? binary(field) : octal(field)
  if (value === undefined) throw unreadable()
  return value
}

/** Undefined for a negative number, and for one that is too large. */
function binary(field: Buffer): number | undefined {
  const bytes = Buffer.from(field)
  bytes[0] = (bytes[0] ?? 0) & 0x7f
  const value = BigInt(`0x${bytes.toString('hex')}`)
  return (field[0] ?? 0) & 0x40 || value >= 2n ** 63n ? undefined : Number(value)
}

function octal(field: Buffer): number | undefined {
  const text = upToNul(field.toString('latin1').replace(/^[ \0]+/, ''))
  const [, digits] = /^([0-7]*) *$/.exec(text) ?? []
  return digits === undefined ? undefined : Number.parseInt(digits || '0', 8)
}

/** Source: parsePAXRecord in src/archive/tar/strconv.go. */
function paxRecords(text: string): ReadonlyMap<string, string> {
  const records = new Map<string, string>()
  for (let rest = text; rest !== ''; ) {
    const [, digits = ''] = /^([+-]?\d{1,9}) /.exec(rest) ?? []
    const length = Number(digits)
    const record = rest.slice(digits.length + 1, length)
    const equals = record.indexOf('=')
    if (digits === '' || length < 5 || length > rest.length || equals === -1 || !record.endsWith('\n'))
      throw unreadable()
    records.set(record.slice(0, equals), record.slice(equals + 1, -1))
    rest = rest.slice(length)
  }
  return records
}

function sizeIn(pax: ReadonlyMap<string, string> | undefined): number | undefined {
  const text = pax?.get('size')
  if (!text) return undefined
  if (!/^\+?\d{1,19}$/.test(text)) throw unreadable()
  return Number(text)
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES
}

function upToNul(text: string): string {
  const end = text.indexOf('\0')
  return end === -1 ? text : text.slice(0, end)
}

function sparse(): Error {
  return archiveInvalid('has a layer with a sparse file, which may unpack to any size: pack it without --sparse')
}

function unreadable(): Error {
  return archiveInvalid('has a layer that cannot be read as tar')
}
