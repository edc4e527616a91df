import { quote } from '../../../lib/text/quote.ts'
import { readableReference, repositoryOf } from '../../../recipes/reference.ts'
import type { Platform } from '../image/config.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { ParsedImage, StoredBlob } from '../image/parsed-image.ts'
import type { SizeLimit } from '../image/size-limit.ts'
import type { Compression } from '../streams/decompress.ts'
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

/** Called with each layer that the store has, and its probable place in the image (0 is the bottom). */
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

/** Which image of an archive to read. */
export interface WantedImage {
  readonly host: Platform
  /** Normalized reference; missing for a base image, whose name does not matter. */
  readonly wanted: string | undefined
  readonly onLayer: OnLayer
}

/**
 * Whether one of an image's names in the archive is the wanted one, which is normalized. A reference with a digest is matched by
 * its repository.
 */
export function isNamed(names: Iterable<string>, wanted: string): boolean {
  for (const name of names) {
    const normalized = readableReference(name)
    if (normalized === wanted) return true
    if (normalized !== undefined && wanted.includes('@') && repositoryOf(normalized) === repositoryOf(wanted))
      return true
  }
  return false
}

/** Images that a message names. */
const MAX_LISTED = 5

/** `names`: of all `count` images. `wanted` is missing for a base image. */
export function severalImages(names: readonly string[], count: number, wanted: string | undefined): Error {
  const shown = names.slice(0, MAX_LISTED).map(quote).join(', ')
  const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : ''
  const listed = names.length > 0 ? `named ${shown}${more}` : 'without names'
  const way =
    wanted === undefined
      ? 'use an archive of one image as the base'
      : 'ask for one of these names, or make a package of each image'
  const none = wanted === undefined ? '' : `, and not exactly one of them is ${quote(wanted)}`
  return archiveInvalid(`holds ${count} images, ${listed}${none}: ${way}`)
}
