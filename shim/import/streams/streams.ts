import { createHash } from 'node:crypto'
import type { StoredBlob } from '../image/parsed-image.ts'

/** Bytes as a stream of one chunk. */
export async function* oneChunk(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

/** The first `length` bytes of a stream, or all of a shorter one, and the whole stream, unread. */
export async function peek(
  source: AsyncIterable<Buffer>,
  length: number,
): Promise<{ head: Buffer; all: AsyncIterable<Buffer> }> {
  const iterator = source[Symbol.asyncIterator]()
  const chunks: Buffer[] = []
  let gathered = 0
  while (gathered < length) {
    const { done, value } = await iterator.next()
    if (done) break
    chunks.push(value)
    gathered += value.length
  }
  const [first = Buffer.alloc(0)] = chunks
  return { head: chunks.length === 1 ? first : Buffer.concat(chunks), all: resume(chunks, iterator) }
}

async function* resume(chunks: readonly Buffer[], iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* chunks
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
  } finally {
    await iterator.return?.()
  }
}

/** Passes chunks on after showing each to `onChunk`, which may throw to end the stream. */
export async function* passing(
  source: AsyncIterable<Buffer>,
  onChunk: (chunk: Buffer) => void,
): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    onChunk(chunk)
    yield chunk
  }
}

/** Digest and size of the bytes. */
export async function hashBytes(bytes: AsyncIterable<Buffer>): Promise<StoredBlob> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of bytes) {
    hash.update(chunk)
    size += chunk.length
  }
  return { digest: `sha256:${hash.digest('hex')}`, size }
}
