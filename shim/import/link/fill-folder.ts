import { chmodSync, type Dirent, lchownSync, lstatSync, mkdirSync, readdirSync, type Stats, utimesSync } from 'node:fs'
import { basename } from 'node:path'
import { archiveInvalid } from '../image/errors.ts'
import { takeEntries } from '../image/size-limit.ts'
import { isWhiteout, type StorePathLayer } from '../layers/layer.ts'
import { copyFile, isTruthful, linkFile, permissions } from './place-file.ts'
import type { FillCounts, Path, Placing } from './placing.ts'

export interface LayerFolder {
  readonly layer: StorePathLayer
  /** Where the store's paths are to be taken from. */
  readonly store: string
  /** To be made. */
  readonly target: string
}

export interface OpenedLayer {
  /** Folders that are to be given their final form after all in them, the upper ones first. */
  readonly open: readonly { readonly target: string; readonly mode: number }[]
  readonly folders: readonly FolderTask[]
}

const SLASH = Buffer.from('/')

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

/** Places what is no folder. */
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

/** A path below another; bytes as soon as one part is bytes. */
function childPath(parent: Path, name: Path): Path {
  if (typeof parent === 'string' && typeof name === 'string') return `${parent}/${name}`
  return Buffer.concat([Buffer.from(parent), SLASH, Buffer.from(name)])
}

/** Makes what is above the store paths of a layer, and those of them that are no folders. */
export function openLayer({ layer, store, target }: LayerFolder, placing: Placing, counts: FillCounts): OpenedLayer {
  const upper = [`${target}/nix`, `${target}/nix/store`]
  const paths = new Set(layer.paths)
  takeEntries(placing.entries, upper.length + paths.size)
  for (const folder of [target, ...upper]) mkdirSync(folder, 0o755)
  const folders: FolderTask[] = []
  for (const path of paths) {
    const task = { source: `${store}/${basename(path)}`, target: `${target}/nix/store/${basename(path)}` }
    const stats = lstatSync(task.source)
    if (stats.isDirectory()) folders.push(task)
    else placeAlone({ ...task, stats }, placing, counts)
  }
  return { open: upper.map(folder => ({ target: folder, mode: layer.rootMode })), folders }
}
