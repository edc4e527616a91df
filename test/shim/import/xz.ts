import { crc32 } from 'node:zlib'

/**
 * The bytes as an .xz file whose LZMA2 chunks are stored, not compressed. Source: the .xz file format, 1.2.1. `dictionary`: its
 * size, encoded.
 */
export function xz(bytes: Buffer, dictionary = 0x16): Buffer {
  const flags = Buffer.from([0x00, 0x01]) // check: CRC32
  const header = Buffer.concat([Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), flags, checksum(flags)])
  const blockHeaderFields = Buffer.from([0x02, 0x00, 0x21, 0x01, dictionary, 0x00, 0x00, 0x00]) // one filter, LZMA2
  const blockHeader = Buffer.concat([blockHeaderFields, checksum(blockHeaderFields)])
  const chunks = Buffer.concat([...storedChunks(bytes), Buffer.from([0x00])])
  const unpaddedSize = blockHeader.length + chunks.length + CHECK_BYTES
  const block = Buffer.concat([blockHeader, pad(chunks), checksum(bytes)])
  const indexFields = pad(Buffer.concat([Buffer.from([0x00, 0x01]), integer(unpaddedSize), integer(bytes.length)]))
  const index = Buffer.concat([indexFields, checksum(indexFields)])
  const backwardSize = Buffer.alloc(4)
  backwardSize.writeUInt32LE(index.length / 4 - 1)
  const footerFields = Buffer.concat([backwardSize, flags])
  return Buffer.concat([header, block, index, checksum(footerFields), footerFields, Buffer.from('YZ')])
}

const CHECK_BYTES = 4
const MAX_CHUNK = 64 * 1024

function* storedChunks(bytes: Buffer): Generator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += MAX_CHUNK) {
    const chunk = bytes.subarray(offset, offset + MAX_CHUNK)
    const head = Buffer.from([offset === 0 ? 0x01 : 0x02, 0, 0])
    head.writeUInt16BE(chunk.length - 1, 1)
    yield Buffer.concat([head, chunk])
  }
}

function checksum(bytes: Buffer): Buffer {
  const sum = Buffer.alloc(CHECK_BYTES)
  sum.writeUInt32LE(crc32(bytes))
  return sum
}

function pad(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
}

/** Seven bits at a time, the lowest first. */
function integer(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80)
  return Buffer.from([...bytes, rest])
}
