/** A blob as OCI describes it. */
export interface Descriptor {
  readonly mediaType: string
  /** `sha256:<hex>` */
  readonly digest: string
  /** In bytes. */
  readonly size: number
}

/** A layer whose blob the content store has. */
export interface PlannedLayer extends Descriptor {
  /** Digest of the uncompressed tar, as the config promises it. */
  readonly diffId: string
}

/** A small blob that is written once all of an image is known. */
export interface Document extends Descriptor {
  readonly bytes: Buffer
}

/**
 * What a build output holds, whatever its form was: the border between reading outputs and filling containerd.
 * Digests and sizes are those of the bytes that were read; layers go from the bottom up.
 */
export interface ImagePlan {
  readonly config: Document
  readonly manifest: Document
  readonly layers: readonly PlannedLayer[]
  /** Names of the layers' files in a docker-archive, bottom first; none for other forms. */
  readonly layerNames: readonly string[]
}

/** The plan of an image whose layers have been read. */
export interface ReadPlan extends ImagePlan {
  /** Bytes of the layers, decompressed. */
  readonly unpackedSize: number
}

/** The plan of an image in an archive or layout. */
export interface ArchivePlan extends ReadPlan {
  /** Whether there are others, so that the wanted name has decided. */
  readonly isOneOfSeveral: boolean
}

/** An image whose snapshots are in containerd. */
export interface FilledImage extends ImagePlan {
  /** ChainID of the top layer, empty when there is no layer. */
  readonly chainId: string
}
