import { promisify } from 'node:util'
import { gunzip, inflate } from 'node:zlib'

/** One flag byte (0 plain, 1 compressed), then the message's length as a big-endian 32-bit number. */
const HEADER_BYTES = 5
/** What containerd and the kubelet take. */
const MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024
export const REQUEST_LIMIT_BYTES = HEADER_BYTES + MESSAGE_LIMIT_BYTES
const DECOMPRESS = new Map([
  ['gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
])

/** A message as it goes over the wire, uncompressed. */
export function frameMessage(message: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32BE(message.length, 1)
  return Buffer.concat([header, message])
}

/**
 * The one message of a unary request. Undefined when this is something that the proxy cannot read – several or
 * broken frames, an unknown encoding – and that is containerd's to judge.
 */
export async function readMessage(body: Buffer, encoding: string | undefined): Promise<Buffer | undefined> {
  if (body.length < HEADER_BYTES || body.readUInt32BE(1) !== body.length - HEADER_BYTES) return undefined
  const message = body.subarray(HEADER_BYTES)
  if (body[0] === 0) return message
  const decompress = DECOMPRESS.get(encoding ?? '')
  if (body[0] !== 1 || decompress === undefined) return undefined
  return decompress(message, { maxOutputLength: MESSAGE_LIMIT_BYTES }).catch(() => undefined)
}
