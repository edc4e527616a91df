import { GRPC_STATUS, GrpcError } from './grpc-error.ts'

/** gRPC's length-prefixed messages: one byte of flags, four of length, the message. */
const HEADER_BYTES = 5
/** What kubelet and containerd allow. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

/** Header of a message of `length` bytes. */
export function frameHeader(length: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32BE(length, 1)
  return header
}

/** The messages in a body. Throws a GrpcError when one is longer than 16 MiB, compressed or cut short. */
export async function* readFrames(method: string, body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pending: Buffer = Buffer.alloc(0)
  for await (const chunk of body) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    for (;;) {
      const length = messageLength(method, pending)
      if (length === undefined || pending.length < HEADER_BYTES + length) break
      yield pending.subarray(HEADER_BYTES, HEADER_BYTES + length)
      pending = pending.subarray(HEADER_BYTES + length)
    }
  }
  if (pending.length > 0) throw malformed(method, 'a message is cut short')
}

function messageLength(method: string, pending: Buffer): number | undefined {
  if (pending.length < HEADER_BYTES) return undefined
  if (pending[0] !== 0) throw malformed(method, 'a message is compressed')
  const length = pending.readUInt32BE(1)
  if (length > MAX_MESSAGE_BYTES) throw malformed(method, `a message has ${length} bytes`)
  return length
}

function malformed(method: string, detail: string): GrpcError {
  return new GrpcError(method, GRPC_STATUS.UNKNOWN, detail)
}
