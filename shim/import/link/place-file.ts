import {
  chmodSync,
  closeSync,
  copyFileSync,
  constants as fs,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { hasCode } from '../../../lib/error-code.ts'
import { messageOf, RetryableError, ShimError } from '../../../lib/errors.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { EntryRoom } from '../image/size-limit.ts'
import type { StorePathLayer } from '../image/store-image.ts'
import type { LinkPaths } from './link-paths.ts'

/** A path of a file system; bytes if it is not UTF-8. */
export type Path = string | Buffer

/** How files of the store get into a layer, and the owner and time that they get there. */
export interface PlaceOptions {
  readonly how: LinkPaths['kind']
  readonly uid: number
  readonly gid: number
  /** In seconds since 1970. */
  readonly mtime: number
  /** Each file, folder and symlink takes one of these. */
  readonly entryRoom: EntryRoom
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

export function placeOptionsOf(
  { owner, mtime }: Pick<StorePathLayer, 'owner' | 'mtime'>,
  { how, entryRoom }: Pick<PlaceOptions, 'how' | 'entryRoom'>,
): PlaceOptions {
  return { how, uid: owner.uid, gid: owner.gid, mtime, entryRoom }
}

/** A file or symlink of the store, and the path where it is placed. */
export interface FileTask {
  readonly source: Path
  readonly target: Path
}

/** Whether a link to a file with these stats has the wanted owner and time. */
export function hasWantedOwnerAndTime({ uid, gid, mtimeMs }: Stats, options: PlaceOptions): boolean {
  return uid === options.uid && gid === options.gid && mtimeMs === options.mtime * 1000
}

/** False if a link cannot be made, in general or to this file. */
export function linkFile({ source, target }: FileTask, { how }: PlaceOptions, counts: FillCounts): boolean {
  if (how !== 'link') return false
  try {
    linkSync(source, target)
  } catch (error) {
    if (hasCode(error, ...UNLINKABLE)) return false
    throw error
  }
  counts.linked += 1
  return true
}

/** The file has as many links as it can have, is on its own mount, or is immutable. */
const UNLINKABLE = ['EMLINK', 'EXDEV', 'EPERM']

/** Copies a file with the wanted owner and time. Its mode is the source's by default. */
export function copyFile(task: FileTask, options: PlaceOptions, counts: FillCounts, mode?: number): void {
  const stats = lstatSync(task.source)
  if (stats.isSymbolicLink()) copySymlink(task, options)
  else copyRegular(task, options, stats, mode ?? permissions(stats))
  counts.copied += 1
  counts.copiedBytes += stats.size
}

function copySymlink({ source, target }: FileTask, { uid, gid, mtime }: PlaceOptions): void {
  symlinkSync(readlinkSync(source, 'buffer'), target)
  lchownSync(target, uid, gid)
  lutimesSync(target, mtime, mtime)
}

function copyRegular(
  { source, target }: FileTask,
  { uid, gid, mtime }: PlaceOptions,
  stats: Stats,
  mode: number,
): void {
  if (!isSparse(stats)) copyFileSync(source, target, fs.COPYFILE_EXCL | fs.COPYFILE_FICLONE)
  else if (!isCloned(source, target)) copySparse(source, target)
  lchownSync(target, uid, gid)
  // After the owner, whose change removes setuid bits.
  chmodSync(target, mode)
  utimesSync(target, mtime, mtime)
}

/** Whether the file system could clone the file: then its holes need not be searched. */
function isCloned(source: Path, target: Path): boolean {
  try {
    copyFileSync(source, target, fs.COPYFILE_EXCL | fs.COPYFILE_FICLONE_FORCE)
    return true
  } catch {
    // Nothing is left of it. If the error has another reason, the copy reports that.
    return false
  }
}

export function permissions({ mode }: Stats): number {
  return mode & 0o7777
}

/** Linux counts in blocks of 512 bytes. */
function isSparse({ blocks, size }: Stats): boolean {
  return blocks * 512 < size
}

const STEP_BYTES = 1024 * 1024

/** Copies a file, leaving holes where there are only zeros. */
function copySparse(source: Path, target: Path): void {
  const from = openSync(source, fs.O_RDONLY | fs.O_NOFOLLOW)
  const to = openSync(target, fs.O_WRONLY | fs.O_CREAT | fs.O_EXCL, 0o600)
  try {
    const buffer = Buffer.allocUnsafe(STEP_BYTES)
    const zeros = Buffer.alloc(STEP_BYTES)
    let offset = 0
    for (;;) {
      const read = readSync(from, buffer, 0, STEP_BYTES, offset)
      if (read === 0) break
      if (buffer.compare(zeros, 0, read, 0, read) !== 0) writeSync(to, buffer, 0, read, offset)
      offset += read
    }
    ftruncateSync(to, offset)
  } finally {
    closeSync(from)
    closeSync(to)
  }
}

/** Turns an error of the file system into one of the catalog. */
export function toLinkError(cause: unknown): ShimError {
  if (cause instanceof ShimError) return cause
  if (hasCode(cause, 'ENOSPC', 'EDQUOT'))
    return new RetryableError('DiskFull', `no room for a layer: ${messageOf(cause)}`, { cause })
  if (hasCode(cause, 'ENAMETOOLONG'))
    return archiveInvalid(`has a path that is too long for containerd's folders: ${messageOf(cause)}`, cause)
  return new RetryableError('ImportInterrupted', `a layer cannot be filled: ${messageOf(cause)}`, { cause })
}
