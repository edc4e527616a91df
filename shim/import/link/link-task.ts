import type { ErrorCode } from '../../../lib/errors.ts'
import type { FolderTask } from './fill-folder.ts'
import type { FillCounts, Placing } from './placing.ts'

/** What a thread is given to do. */
export interface LinkTask {
  readonly folders: readonly FolderTask[]
  readonly placing: Placing
}

/** What all threads are given at their start. */
export interface LinkThreadData {
  /** One Int32, which is not zero once nobody wants anything more. */
  readonly cancelled: SharedArrayBuffer
}

/** The answer to each task. */
export type LinkReport =
  | { readonly kind: 'done'; readonly counts: FillCounts }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }
