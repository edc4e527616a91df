import type { Platform } from '../image/config.ts'
import type { FilesLayer } from './layer.ts'

/** An image by its parts in the Nix store; none of its layers has been read yet. */
export interface StoreImage {
  readonly platform: Platform
  /** Path of an image archive below the Nix store, whose layers come first. */
  readonly base?: string | undefined
  /** Bottom first, above those of the base. */
  readonly layers: readonly StoreLayer[]
  /** Makes the bytes of the image's config. Throws ArchiveInvalid if the base does not fit. */
  makeConfig(known: KnownParts): Buffer
}

export interface KnownParts {
  /** Of all layers, those of the base included, bottom first: `sha256:<hex>` each. */
  readonly diffIds: readonly string[]
  readonly base?: BaseParts | undefined
}

export interface BaseParts {
  /** The base image's own config, JSON. */
  readonly config: Buffer
  /** Names of the layers' files in the base archive, bottom first. */
  readonly layerNames: readonly string[]
}

export type StoreLayer = StoreFilesLayer | TarFileLayer | TarBytesLayer

/** Files that lie in the store. */
export interface StoreFilesLayer {
  readonly kind: 'files'
  readonly layer: FilesLayer
  /** Digest of the tar, `sha256:<hex>`, as the image promises it for a merged layer. It has not been verified. */
  readonly promised?: string | undefined
}

/** A tar that lies ready in the store, with what the image promises of it. */
export interface TarFileLayer {
  readonly kind: 'file'
  readonly path: string
  /** Digest of the uncompressed tar, `sha256:<hex>`. */
  readonly diffId: string
  /** Digest of the file as it is, `sha256:<hex>`. */
  readonly digest: string
  readonly mediaType: string
}

/** A small, uncompressed tar that was made in memory. */
export interface TarBytesLayer {
  readonly kind: 'bytes'
  readonly bytes: Buffer
  /** Number of entries of the tar. */
  readonly entries: number
}
