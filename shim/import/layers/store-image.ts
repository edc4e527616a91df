import type { Platform } from '../image/config.ts'
import type { StorePathLayer } from './layer.ts'
import type { MergedLayer } from './merged-layer.ts'

/** An image by its parts in the Nix store; none of its layers has been read yet. */
export interface NativeImage {
  readonly platform: Platform
  /** Path of an image archive below the Nix store, whose layers come first. */
  readonly base?: string | undefined
  /** Bottom first, above those of the base. */
  readonly layers: readonly NativeLayer[]
  /** Bytes of the image's config. Throws ArchiveInvalid when the base does not fit. */
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

export type NativeLayer = ContentLayer | TarFileLayer | TarBytesLayer

/** A layer whose files lie in the store, each by itself. */
export type ContentLayer = StoreFilesLayer | MergedFilesLayer

/** Files that lie in the store. */
export interface StoreFilesLayer {
  readonly kind: 'store'
  readonly layer: StorePathLayer
}

/** Files that lie in the store, with what the image says of their tar: nobody has looked whether it is so. */
export interface MergedFilesLayer {
  readonly kind: 'merged'
  readonly layer: MergedLayer
  /** Digest of the tar, `sha256:<hex>`. */
  readonly promised: string
}

/** A tar that lies ready in the store, with what the image says of it. */
export interface TarFileLayer {
  readonly kind: 'file'
  readonly path: string
  /** Digest of the uncompressed tar, `sha256:<hex>`. */
  readonly diffId: string
  /** Digest of the file as it is, `sha256:<hex>`. */
  readonly digest: string
  readonly mediaType: string
}

/** A small tar, uncompressed, that was made in memory. */
export interface TarBytesLayer {
  readonly kind: 'bytes'
  readonly bytes: Buffer
  /** Of the tar. */
  readonly entries: number
}
