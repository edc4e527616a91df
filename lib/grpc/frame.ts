/** gRPC's length-prefixed messages: one flag byte (0 plain, 1 compressed), the length as a big-endian 32-bit number, the message. */
export const HEADER_BYTES = 5
/** What kubelet and containerd take. */
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

/** Length of the message whose frame `bytes` begin with; undefined when they do not hold all of its header. */
export function messageLength(bytes: Buffer): number | undefined {
  return bytes.length < HEADER_BYTES ? undefined : bytes.readUInt32BE(1)
}
