import { hasCode } from '../../../lib/error-code.ts'
import { messageOf, RetryableError, ShimError } from '../../../lib/errors.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { EntryRoom } from '../image/size-limit.ts'
import type { StorePathLayer } from '../layers/layer.ts'

/** A path of a file system; bytes if it is not UTF-8. */
export type Path = string | Buffer

/** How files get to their places, and the owner and time that they have there. */
export interface Placing {
  readonly how: 'link' | 'copy'
  readonly uid: number
  readonly gid: number
  /** In seconds since 1970. */
  readonly mtime: number
  /** Everything that is made is taken from this. */
  readonly entries: EntryRoom
}

/** Counts of what was made. */
export interface FillCounts {
  linked: number
  copied: number
  copiedBytes: number
  folders: number
  /** Files and folders whose names mark deleted files in a tar. */
  whiteouts: number
}

export function noCounts(): FillCounts {
  return { linked: 0, copied: 0, copiedBytes: 0, folders: 0, whiteouts: 0 }
}

export function addCounts(sum: FillCounts, other: FillCounts): void {
  sum.linked += other.linked
  sum.copied += other.copied
  sum.copiedBytes += other.copiedBytes
  sum.folders += other.folders
  sum.whiteouts += other.whiteouts
}

export function placingOf(
  { owner, mtime }: Pick<StorePathLayer, 'owner' | 'mtime'>,
  { how, entries }: Pick<Placing, 'how' | 'entries'>,
): Placing {
  return { how, uid: owner.uid, gid: owner.gid, mtime, entries }
}

/** Turns an error of the file system into one of the catalogue. */
export function toLinkError(cause: unknown): ShimError {
  if (cause instanceof ShimError) return cause
  if (hasCode(cause, 'ENOSPC', 'EDQUOT'))
    return new RetryableError('DiskFull', `no room for a layer: ${messageOf(cause)}`, { cause })
  if (hasCode(cause, 'ENAMETOOLONG'))
    return archiveInvalid(`has a path that is too long for containerd's folders: ${messageOf(cause)}`, cause)
  return new RetryableError('ImportInterrupted', `a layer cannot be filled: ${messageOf(cause)}`, { cause })
}
