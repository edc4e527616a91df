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

/** The messages in a body. Throws when one is longer than 16 MiB, compressed or cut short. */
export async function* readFrames(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pending: Buffer = Buffer.alloc(0)
  for await (const chunk of body) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    for (;;) {
      const length = messageLength(pending)
      if (length === undefined || pending.length < HEADER_BYTES + length) break
      yield pending.subarray(HEADER_BYTES, HEADER_BYTES + length)
      pending = pending.subarray(HEADER_BYTES + length)
    }
  }
  if (pending.length > 0) throw new Error('gRPC message cut short')
}

function messageLength(pending: Buffer): number | undefined {
  if (pending.length < HEADER_BYTES) return undefined
  if (pending[0] !== 0) throw new Error('gRPC message is compressed')
  const length = pending.readUInt32BE(1)
  if (length > MAX_MESSAGE_BYTES) throw new Error(`gRPC message of ${length} bytes`)
  return length
}
