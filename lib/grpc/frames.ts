import { GrpcError } from './grpc-error.ts'
import { STATUS } from './status.ts'

/** A gRPC message has a header: one flag byte (0 plain, 1 compressed), and its length as a big-endian 32-bit number. */
export const HEADER_BYTES = 5
/** Longest message that the kubelet and containerd accept. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

/** Header of an uncompressed message of `length` bytes. */
export function frameHeader(length: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32BE(length, 1)
  return header
}

/** A message as it goes over the wire, uncompressed. */
export function frameMessage(message: Buffer): Buffer {
  return Buffer.concat([frameHeader(message.length), message])
}

/** Length of the message at the start of `bytes`; undefined if they do not contain its whole header. */
export function messageLength(bytes: Buffer): number | undefined {
  return bytes.length < HEADER_BYTES ? undefined : bytes.readUInt32BE(1)
}

/** The messages in a body. Throws a GrpcError if one is longer than `maxBytes`, compressed or cut short. */
export async function* readFrames(
  method: string,
  body: AsyncIterable<Buffer>,
  maxBytes = MAX_MESSAGE_BYTES,
): AsyncGenerator<Buffer> {
  let chunks: Buffer[] = []
  let size = 0
  let needed = HEADER_BYTES
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.length
    // Waiting for the whole message copies each byte at most twice, in however many chunks it arrives.
    if (size < needed) continue
    let pending = chunks.length === 1 ? chunk : Buffer.concat(chunks)
    for (;;) {
      const length = acceptableLength(method, pending, maxBytes)
      needed = HEADER_BYTES + (length ?? 0)
      if (length === undefined || pending.length < needed) break
      yield pending.subarray(HEADER_BYTES, needed)
      pending = pending.subarray(needed)
    }
    chunks = pending.length === 0 ? [] : [pending]
    size = pending.length
  }
  if (size > 0) throw malformed(method, 'a message is cut short')
}

function acceptableLength(method: string, pending: Buffer, maxBytes: number): number | undefined {
  const length = messageLength(pending)
  if (length === undefined) return undefined
  if (pending[0] !== 0) throw malformed(method, 'a message is compressed')
  if (length > maxBytes)
    throw new GrpcError(method, STATUS.RESOURCE_EXHAUSTED, `a message has ${length} bytes, more than ${maxBytes}`)
  return length
}

function malformed(method: string, detail: string): GrpcError {
  return new GrpcError(method, STATUS.UNKNOWN, detail)
}
