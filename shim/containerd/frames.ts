import { HEADER_BYTES, MAX_MESSAGE_BYTES, messageLength } from '../grpc/frame.ts'
import { STATUS } from '../grpc/status.ts'
import { GrpcError } from './grpc-error.ts'

/** The messages in a body. Throws a GrpcError when one is longer than 16 MiB, compressed or cut short. */
export async function* readFrames(method: string, body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pending: Buffer = Buffer.alloc(0)
  for await (const chunk of body) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    for (;;) {
      const length = acceptableLength(method, pending)
      if (length === undefined || pending.length < HEADER_BYTES + length) break
      yield pending.subarray(HEADER_BYTES, HEADER_BYTES + length)
      pending = pending.subarray(HEADER_BYTES + length)
    }
  }
  if (pending.length > 0) throw malformed(method, 'a message is cut short')
}

function acceptableLength(method: string, pending: Buffer): number | undefined {
  const length = messageLength(pending)
  if (length === undefined) return undefined
  if (pending[0] !== 0) throw malformed(method, 'a message is compressed')
  if (length > MAX_MESSAGE_BYTES) throw malformed(method, `a message has ${length} bytes`)
  return length
}

function malformed(method: string, detail: string): GrpcError {
  return new GrpcError(method, STATUS.UNKNOWN, detail)
}
