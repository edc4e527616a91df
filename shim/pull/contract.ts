/** An image record of containerd's. */
export interface ImageRecord {
  readonly labels: Readonly<Record<string, string>>
}

/** What a pull needs to know of the images that are there already. */
export interface ImageRecords {
  /** By normalised reference. */
  find(image: string): Promise<ImageRecord | undefined>
  /** Image id (config digest) under which CRI knows the reference; undefined when it does not. */
  imageId(image: string): Promise<string | undefined>
  /** Every image record that has the label. */
  withLabel(label: string): Promise<readonly ImageRecord[]>
}
