import type { ErrorCode } from '../../errors.ts'
import type { StorePathLayer } from './layer.ts'
import type { MergedLayer } from './merged-layer.ts'

/** What a thread is to make. */
export interface TarTask {
  readonly layer: StorePathLayer | MergedLayer
  /** `chunks`: the tar itself. `digest`: no more than that. */
  readonly want: 'chunks' | 'digest'
  /** One Int32: chunks that the reader has room for; below zero: it wants no more. */
  readonly room: SharedArrayBuffer
}

/** `end` or `failed` is the last. */
export type TarReport =
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array<ArrayBuffer> }
  /** The digest, `sha256:<hex>`, is missing when it was not wanted. */
  | { readonly kind: 'end'; readonly size: number; readonly digest?: string }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly stack: string | undefined }

/** Chunks that wait for their reader at most; one has up to about a megabyte. */
export const MAX_WAITING_CHUNKS = 3
/** In `room`. */
export const NO_MORE = -1_000_000
