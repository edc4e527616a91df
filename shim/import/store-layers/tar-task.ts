import type { EntryRoom } from '../image/size-limit.ts'
import type { FilesLayer } from '../image/store-image.ts'

// What a tar thread is given, and what it answers. The tar itself goes through a ring of memory that both share.

export interface TarTask {
  readonly layer: FilesLayer
  readonly entries: EntryRoom
  /** One Int32: free chunks in the ring, or NO_MORE. Without it, only the digest is computed. */
  readonly room?: SharedArrayBuffer
}

export interface TarAnswer {
  readonly size: number
  /** `sha256:<hex>`; missing if the tar itself was wanted. */
  readonly digest?: string
}

/** Chunks in the ring. It is used round and round, and leaves no garbage to collect. */
export const RING_CHUNKS = 4
/** In `room`: the reader has gone. */
export const NO_MORE = -1_000_000
