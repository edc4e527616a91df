/** A blob, as the OCI image specification describes it (descriptor.md). */
export interface Descriptor {
  readonly mediaType: string
  /** `sha256:<hex>` */
  readonly digest: string
  /** In bytes. */
  readonly size: number
}

/** A small blob with its bytes. */
export interface DocumentBlob extends Descriptor {
  readonly bytes: Buffer
}

export interface Layer extends Descriptor {
  /** Digest of the uncompressed tar, as the image's config promises it. */
  readonly diffId: string
}
