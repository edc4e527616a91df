import { promisify } from 'node:util'
import { gunzip, inflate } from 'node:zlib'
import { frameHeader, HEADER_BYTES, MAX_MESSAGE_BYTES, messageLength } from '../../lib/grpc/frames.ts'

export const REQUEST_LIMIT_BYTES = HEADER_BYTES + MAX_MESSAGE_BYTES
const DECOMPRESS = new Map([
  ['gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
])

/** A message as it goes over the wire, uncompressed. */
export function frameMessage(message: Buffer): Buffer {
  return Buffer.concat([frameHeader(message.length), message])
}

/**
 * The one message of a unary request. Undefined when this is something that the proxy cannot read – several or
 * broken frames, an unknown encoding – and that is containerd's to judge.
 */
export async function readMessage(body: Buffer, encoding: string | undefined): Promise<Buffer | undefined> {
  if (messageLength(body) !== body.length - HEADER_BYTES) return undefined
  const message = body.subarray(HEADER_BYTES)
  if (body[0] === 0) return message
  const decompress = DECOMPRESS.get(encoding ?? '')
  if (body[0] !== 1 || decompress === undefined) return undefined
  return decompress(message, { maxOutputLength: MAX_MESSAGE_BYTES }).catch(() => undefined)
}
