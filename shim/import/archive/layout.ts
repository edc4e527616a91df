import type { StoredBlob } from '../streams/blob-store.ts'
import type { Compression } from '../streams/compression.ts'
import type { LayerContent } from '../streams/layer-content.ts'

/** A layer that the blob store has. */
export interface StoredLayer extends StoredBlob, LayerContent {
  readonly compression: Compression
  /** Bytes, decompressed. */
  readonly unpackedSize: number
}

/** The files of an image layout, wherever they lie. Names are relative to the layout's root. */
export interface LayoutFiles {
  /** A JSON document; undefined when there is no such file. Throws ArchiveInvalid when it is too long to be one. */
  readDocument(name: string): Promise<Buffer | undefined>
  /** Brings a layer into the blob store, if it is not there; undefined when there is no such file. */
  storeLayer(name: string): Promise<StoredLayer | undefined>
}

/** Told of every layer that the store has, with the place that it has or is likely to have in the image, 0 for the bottom. */
export type OnLayer = (layer: StoredLayer, place: number) => void
