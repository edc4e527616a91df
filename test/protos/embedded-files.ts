import { readFileSync } from 'node:fs'
import { inflateRawSync } from 'node:zlib'

/** Start of what Go's gzip writer makes: no flags, no time. Level and system follow. */
const GZIP_START = Buffer.from('1f8b080000000000', 'hex')
const GZIP_HEADER_BYTES = 10
/** A compiled .proto file is at most this long. */
const FILE_LIMIT = 1 << 20

/** The compiled .proto files inside of a Go program made with gogo/protobuf, as containerd 1.x is: each is one gzip stream. */
export function embeddedProtoFiles(program: string): Buffer[] {
  const bytes = readFileSync(program)
  const files: Buffer[] = []
  for (let at = bytes.indexOf(GZIP_START); at >= 0; at = bytes.indexOf(GZIP_START, at + 1)) {
    files.push(...inflate(bytes, at + GZIP_HEADER_BYTES))
  }
  return files
}

function inflate(bytes: Buffer, from: number): Buffer[] {
  try {
    return [inflateRawSync(bytes.subarray(from, from + FILE_LIMIT), { maxOutputLength: FILE_LIMIT })]
  } catch {
    return [] // something else that begins in the same way
  }
}
