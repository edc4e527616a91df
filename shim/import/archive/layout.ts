import { archiveInvalid } from '../image/errors.ts'
import type { ParsedImage, StoredBlob } from '../image/parsed-image.ts'
import type { SizeLimit } from '../image/size-limit.ts'
import type { Compression } from '../streams/compression.ts'
import { type LayerContent, measureLayer } from '../streams/measure-layer.ts'
import { hashBytes } from '../streams/streams.ts'

/** The files of an image layout, in an archive or in a folder. Names are relative to the layout's root. */
export interface LayoutFiles {
  /** Reads a JSON document; undefined when there is no such file. Throws ArchiveInvalid when it is too long. */
  readDocument(name: string): Promise<Buffer | undefined>
  /** Brings a layer into the blob store unless it is there; undefined when there is no such file. */
  storeLayer(name: string): Promise<StoredLayer | undefined>
}

/** A layer that the blob store has. */
export interface StoredLayer extends StoredBlob, LayerContent {
  readonly compression: Compression
  /** Bytes, decompressed. */
  readonly unpackedSize: number
}

/** Called with every layer that the store has, and the place that it (probably) has in the image, 0 for the bottom. */
export type OnLayer = (layer: StoredLayer, place: number) => void

/** The image of an archive or layout. */
export interface ArchiveImage extends ParsedImage {
  /** Bytes of the layers, decompressed. */
  readonly unpackedSize: number
  /** Whether the archive holds others too, so that the wanted name has decided. */
  readonly isOneOfSeveral: boolean
}

/** Where the layers of an image go while it is read. */
export interface BlobStore {
  /** Size in bytes of a blob that is there, and stays from now on; undefined if there is none. */
  find(digest: string): Promise<number | undefined>
  /** Writes a blob and computes its digest. */
  write(bytes: AsyncIterable<Buffer>): Promise<StoredBlob>
}

export interface LayerTarget {
  readonly store: BlobStore
  /** Of all layers together, decompressed. */
  readonly limit: SizeLimit
}

export interface LayerFile {
  /** Its name in the layout. */
  readonly name: string
  /** In bytes. */
  readonly size: number
  readonly bytes: AsyncIterable<Buffer>
}

/**
 * Brings a layer into the store. If the store has the digest that the file's name promises, the bytes are only hashed, since the
 * blob of that digest may be another image's. Throws ArchiveInvalid when they do not have the promised digest.
 */
export async function storeLayer({ store, limit }: LayerTarget, file: LayerFile): Promise<StoredLayer> {
  const { name, size } = file
  const { bytes, compression, ...measured } = await measureLayer(file.bytes, limit)
  const facts = () => ({ compression, unpackedSize: measured.unpackedSize(), ...measured.content() })
  const digest = promisedDigest(name)
  if (!digest || (await store.find(digest)) !== size) return { ...(await store.write(bytes)), ...facts() }
  const hashed = await hashBytes(bytes)
  if (hashed.digest !== digest) throw archiveInvalid(`has a layer ${name} that is not what its name says`)
  return { ...hashed, ...facts() }
}

/**
 * The digest in the names that image tools give to layers: `blobs/sha256/<hex>`, `<hex>.tar`, `<hex>/layer.tar`.
 * It is a hint: in older archives the hex is another id, which no blob has as its digest.
 */
function promisedDigest(name: string): string | undefined {
  const hex = /(?:^|\/)([0-9a-f]{64})(?:\.tar|\/layer\.tar)?$/.exec(name)?.[1]
  return hex && `sha256:${hex}`
}
