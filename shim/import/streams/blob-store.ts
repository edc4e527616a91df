/** Where the layers of an image go while it is read. */
export interface BlobStore {
  /** Size in bytes of a blob that is there and now stays; undefined when there is none of that digest. */
  find(digest: string): Promise<number | undefined>
  /** Writes a blob and makes its digest. */
  write(bytes: AsyncIterable<Buffer>): Promise<StoredBlob>
}

export interface StoredBlob {
  /** `sha256:<hex>` */
  readonly digest: string
  /** In bytes. */
  readonly size: number
}
