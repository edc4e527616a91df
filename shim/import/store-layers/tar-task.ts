import type { ErrorCode } from '../../../lib/errors.ts'
import type { EntryRoom } from '../image/size-limit.ts'
import type { FilesLayer } from '../layers/layer.ts'

/** What a thread is to make. */
export interface TarTask {
  readonly layer: FilesLayer
  /** `chunks`: the tar itself. `digest`: no more than that. */
  readonly want: 'chunks' | 'digest'
  readonly entries: EntryRoom
  /** Where chunks are put, one after another and round and round: RING_CHUNKS of CHUNK_BYTES. */
  readonly ring: SharedArrayBuffer
  /** One Int32: places in the ring that are free; below zero: no more is wanted. */
  readonly room: SharedArrayBuffer
}

/** `end` or `failed` is the last. */
export type TarReport =
  | { readonly kind: 'chunk'; readonly length: number }
  /** The digest, `sha256:<hex>`, is missing when it was not wanted. */
  | { readonly kind: 'end'; readonly size: number; readonly digest?: string }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly stack: string | undefined }

/** Chunks that are read or wait to be. A ring of them is used from the first to the last: no garbage to collect. */
export const RING_CHUNKS = 4
/** In `room`. */
export const NO_MORE = -1_000_000
