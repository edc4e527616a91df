import type { BlobStore } from './blob-store.ts'
import type { StoredLayer } from './layout-files.ts'
import { measureLayer } from './measure-layer.ts'
import type { SizeLimit } from './size-limit.ts'

export interface LayerFile {
  /** As it stands in the layout. */
  readonly name: string
  /** In bytes. */
  readonly size: number
  readonly bytes: AsyncIterable<Buffer>
}

export interface LayerPlace {
  readonly store: BlobStore
  /** Of all layers together, decompressed. */
  readonly limit: SizeLimit
}

/** Brings a layer into the store. Bytes whose name promises a digest that the store has are read past and not sent. */
export async function storeLayer({ store, limit }: LayerPlace, { name, size, bytes }: LayerFile): Promise<StoredLayer> {
  const { bytes: all, ...measured } = await measureLayer(bytes, limit)
  const { compression } = measured
  const digest = promisedDigest(name)
  if (!digest || (await store.find(digest)) !== size)
    return { ...(await store.write(all)), compression, unpackedSize: measured.unpackedSize() }
  await drain(all)
  return { digest, size, compression, unpackedSize: measured.unpackedSize() }
}

/**
 * The digest in the names that image tools give to layers: `blobs/sha256/<hex>`, `<hex>.tar`, `<hex>/layer.tar`.
 * It is a hint: in older archives the hex is another id, which no blob has as its digest.
 */
export function promisedDigest(name: string): string | undefined {
  const hex = /(?:^|\/)([0-9a-f]{64})(?:\.tar|\/layer\.tar)?$/.exec(name)?.[1]
  return hex && `sha256:${hex}`
}

async function drain(bytes: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of bytes);
}
