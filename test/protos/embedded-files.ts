import { readFileSync } from 'node:fs'
import { inflateRawSync } from 'node:zlib'

/** Go's gzip writer begins with this: no flags and no time. Level and system follow. */
const GZIP_START = Buffer.from('1f8b080000000000', 'hex')
const GZIP_HEADER_BYTES = 10
/** Longest compiled .proto file, in bytes. */
const FILE_LIMIT = 1 << 20

/** The compiled .proto files in a Go program that uses gogo/protobuf, such as containerd 1.x. Each file is one gzip stream. */
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
    return [] // other bytes that begin in the same way
  }
}
