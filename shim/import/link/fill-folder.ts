import { chmodSync, type Dirent, lchownSync, lstatSync, mkdirSync, readdirSync, type Stats, utimesSync } from 'node:fs'
import { basename } from 'node:path'
import { archiveInvalid } from '../image/errors.ts'
import { takeEntries } from '../image/size-limit.ts'
import { isWhiteout, type StorePathLayer } from '../image/store-image.ts'
import {
  copyFile,
  type FillCounts,
  hasWantedOwnerAndTime,
  linkFile,
  type Path,
  type PlaceOptions,
  permissions,
} from './place-file.ts'

/** A folder of the store, and the path where a folder with the same files is made. */
export interface FolderTask {
  readonly source: Path
  readonly target: Path
}

/** Folders that a thread makes, each with everything below it. */
export interface LinkTask {
  readonly folders: readonly FolderTask[]
  readonly options: PlaceOptions
}

export interface OpenedLayer {
  /** Folders that get their final mode and time once everything is in them, the upper ones first. */
  readonly open: readonly { readonly target: string; readonly mode: number }[]
  readonly folders: readonly FolderTask[]
}

export interface LayerTask {
  readonly layer: StorePathLayer
  /** The folder of the store that has its paths. */
  readonly store: string
  /** The staging folder, which is made. */
  readonly target: string
}

/** Makes the staging folder of a layer with /nix/store, and in it the store paths that are not folders. */
export function openLayer({ layer, store, target }: LayerTask, options: PlaceOptions, counts: FillCounts): OpenedLayer {
  const upper = [`${target}/nix`, `${target}/nix/store`]
  const paths = new Set(layer.paths)
  takeEntries(options.entryRoom, upper.length + paths.size)
  for (const folder of [target, ...upper]) mkdirSync(folder, 0o755)
  const folders: FolderTask[] = []
  for (const path of paths) {
    const task = { source: `${store}/${basename(path)}`, target: `${target}/nix/store/${basename(path)}` }
    const stats = lstatSync(task.source)
    if (stats.isDirectory()) folders.push(task)
    else placeStorePath({ ...task, stats }, options, counts)
  }
  return { open: upper.map(folder => ({ target: folder, mode: layer.rootMode })), folders }
}

/** Places a store path that is not a folder. */
function placeStorePath(task: FolderTask & { readonly stats: Stats }, options: PlaceOptions, counts: FillCounts): void {
  const { stats } = task
  if (!stats.isFile() && !stats.isSymbolicLink()) throw unsupportedFileType(task.source)
  if (!hasWantedOwnerAndTime(stats, options) || !linkFile(task, options, counts)) copyFile(task, options, counts)
}

/** Makes a folder with everything below it. `checkWanted` throws if the import was cancelled. */
export function fillTree(task: FolderTask, options: PlaceOptions, counts: FillCounts, checkWanted: () => void): void {
  checkWanted()
  const { mode, folders } = openFolder(task, options, counts)
  for (const folder of folders) fillTree(folder, options, counts, checkWanted)
  closeFolder(task.target, mode, options)
}

export interface OpenedFolder {
  /** Its final permissions. */
  readonly mode: number
  /** Folders in it, which are still to be made. */
  readonly folders: readonly FolderTask[]
}

/** Permissions of a folder that is being filled. */
const WRITABLE = 0o700

/** Makes a folder and puts its files there. Throws ImageTooLarge before it makes more than there is room for. */
export function openFolder({ source, target }: FolderTask, options: PlaceOptions, counts: FillCounts): OpenedFolder {
  const stats = lstatSync(source)
  mkdirSync(target, WRITABLE)
  counts.folders += 1
  const folders: FolderTask[] = []
  const entries = entriesOf(source)
  takeEntries(options.entryRoom, entries.length)
  for (const entry of entries) {
    const task = { source: childPath(source, entry.name), target: childPath(target, entry.name) }
    if (isWhiteout(entry.name)) counts.whiteouts += 1
    if (entry.isDirectory()) folders.push(task)
    else if (!entry.isFile() && !entry.isSymbolicLink()) throw unsupportedFileType(task.source)
    // In a valid path, Nix has given everything one owner and one time: a stat of each file would double the duration.
    else if (!hasWantedOwnerAndTime(stats, options) || !linkFile(task, options, counts)) copyFile(task, options, counts)
  }
  return { mode: permissions(stats), folders }
}

/** Stands for bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd'

function entriesOf(folder: Path): readonly Dirent<Path>[] {
  const entries = readdirSync(folder, { withFileTypes: true })
  if (!entries.some(({ name }) => name.includes(REPLACEMENT))) return entries
  return readdirSync(folder, { withFileTypes: true, encoding: 'buffer' })
}

const SLASH = Buffer.from('/')

/** Joins paths; the result is bytes if one part is. */
function childPath(parent: Path, name: Path): Path {
  if (typeof parent === 'string' && typeof name === 'string') return `${parent}/${name}`
  return Buffer.concat([Buffer.from(parent), SLASH, Buffer.from(name)])
}

/** Devices and the like cannot be in an image. */
function unsupportedFileType(path: Path): Error {
  return archiveInvalid(`names ${String(path)}, which is neither file, folder nor symlink`)
}

/** Gives a folder its final owner, mode and time, once everything is in it. */
export function closeFolder(target: Path, mode: number, { uid, gid, mtime }: PlaceOptions): void {
  if (uid !== process.getuid?.() || gid !== process.getgid?.()) lchownSync(target, uid, gid)
  chmodSync(target, mode)
  utimesSync(target, mtime, mtime)
}
