import { createHash } from 'node:crypto'
import type { StoredBlob } from './blob-store.ts'

/** What a blob store would make of the bytes. */
export async function hashBytes(bytes: AsyncIterable<Buffer>): Promise<StoredBlob> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of bytes) {
    hash.update(chunk)
    size += chunk.length
  }
  return { digest: `sha256:${hash.digest('hex')}`, size }
}
