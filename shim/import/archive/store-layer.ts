import { archiveInvalid } from '../image/errors.ts'
import type { SizeLimit } from '../image/size-limit.ts'
import type { BlobStore } from '../streams/blob-store.ts'
import { hashBytes } from '../streams/hash-bytes.ts'
import { measureLayer } from '../streams/measure-layer.ts'
import type { StoredLayer } from './layout.ts'

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

/**
 * Brings a layer into the store. Bytes whose name promises a digest that the store has are not sent, but hashed: the blob that is
 * there may be another image's. Throws ArchiveInvalid when they are not what their name says.
 */
export async function storeLayer({ store, limit }: LayerPlace, { name, size, bytes }: LayerFile): Promise<StoredLayer> {
  const { bytes: all, compression, ...measured } = await measureLayer(bytes, limit)
  const described = () => ({ compression, unpackedSize: measured.unpackedSize(), ...measured.content() })
  const digest = promisedDigest(name)
  if (!digest || (await store.find(digest)) !== size) return { ...(await store.write(all)), ...described() }
  const hashed = await hashBytes(all)
  if (hashed.digest !== digest) throw archiveInvalid(`has a layer ${name} that is not what its name says`)
  return { ...hashed, ...described() }
}

/**
 * The digest in the names that image tools give to layers: `blobs/sha256/<hex>`, `<hex>.tar`, `<hex>/layer.tar`.
 * It is a hint: in older archives the hex is another id, which no blob has as its digest.
 */
function promisedDigest(name: string): string | undefined {
  const hex = /(?:^|\/)([0-9a-f]{64})(?:\.tar|\/layer\.tar)?$/.exec(name)?.[1]
  return hex && `sha256:${hex}`
}
