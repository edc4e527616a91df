import { chmodSync, type Dirent, lchownSync, lstatSync, mkdirSync, readdirSync, type Stats, utimesSync } from 'node:fs'
import { takeEntries } from '../image/entry-room.ts'
import { archiveInvalid } from '../image/errors.ts'
import { isWhiteout } from '../layers/whiteout.ts'
import { childPath } from './child-path.ts'
import { copyFile, isTruthful, linkFile, permissions } from './place-file.ts'
import type { FillCounts, Path, Placing } from './placing.ts'

/** A folder of the store, and where one like it is to be. */
export interface FolderTask {
  readonly source: Path
  readonly target: Path
}

/** Makes a folder with all that is below it. `checkWanted` throws when nobody wants it any more. */
export function fillTree(task: FolderTask, placing: Placing, counts: FillCounts, checkWanted: () => void): void {
  checkWanted()
  const { mode, folders } = openFolder(task, placing, counts)
  for (const folder of folders) fillTree(folder, placing, counts, checkWanted)
  closeFolder(task.target, mode, placing)
}

export interface OpenedFolder {
  /** Permissions that it gets in the end. */
  readonly mode: number
  /** Those in it, which are still to be made. */
  readonly folders: readonly FolderTask[]
}

/** Makes a folder and puts its files there. Throws ImageTooLarge before it makes more than there is room for. */
export function openFolder({ source, target }: FolderTask, placing: Placing, counts: FillCounts): OpenedFolder {
  const stats = lstatSync(source)
  mkdirSync(target, WRITABLE)
  counts.folders += 1
  const folders: FolderTask[] = []
  const entries = entriesOf(source)
  takeEntries(placing.entries, entries.length)
  for (const entry of entries) {
    const task = { source: childPath(source, entry.name), target: childPath(target, entry.name) }
    if (isWhiteout(entry.name)) counts.whiteouts += 1
    if (entry.isDirectory()) folders.push(task)
    else if (!entry.isFile() && !entry.isSymbolicLink()) throw odd(task.source)
    // Nix gives all in a valid path one owner and one time: asking for those of each file would double the time.
    else if (!isTruthful(stats, placing) || !linkFile(task, placing, counts)) copyFile(task, placing, counts)
  }
  return { mode: permissions(stats), folders }
}

/** Until all is in it. */
const WRITABLE = 0o700

/** Gives a folder its final mode, owner and time, once all is in it. */
export function closeFolder(target: Path, mode: number, { uid, gid, mtime }: Placing): void {
  if (uid !== process.getuid?.() || gid !== process.getgid?.()) lchownSync(target, uid, gid)
  chmodSync(target, mode)
  utimesSync(target, mtime, mtime)
}

/** FairGate what is no folder. */
export function placeAlone(task: FolderTask & { readonly stats: Stats }, placing: Placing, counts: FillCounts): void {
  const { stats } = task
  if (!stats.isFile() && !stats.isSymbolicLink()) throw odd(task.source)
  if (!isTruthful(stats, placing) || !linkFile(task, placing, counts)) copyFile(task, placing, counts)
}

/** Devices and the like are in no image. */
function odd(path: Path): Error {
  return archiveInvalid(`names ${String(path)}, which is neither file, folder nor symlink`)
}

/** What stands for bytes that are no UTF-8. */
const REPLACEMENT = '\ufffd'

function entriesOf(folder: Path): readonly Dirent<Path>[] {
  const entries = readdirSync(folder, { withFileTypes: true })
  if (!entries.some(({ name }) => name.includes(REPLACEMENT))) return entries
  return readdirSync(folder, { withFileTypes: true, encoding: 'buffer' })
}
