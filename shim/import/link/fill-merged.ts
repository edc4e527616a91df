import { chmodSync, lchownSync, lstatSync, mkdirSync, utimesSync } from 'node:fs'
import { STORE_DIR } from '../../../recipes/store-path.ts'
import { type MergedEntry, mergedEntries } from '../formats/nix2container/entries.ts'
import { compileRegexes, type Regexes } from '../formats/nix2container/regex.ts'
import { archiveInvalid } from '../image/errors.ts'
import { type EntryRoom, takeEntries } from '../image/size-limit.ts'
import { isWhiteout, type MergedLayer } from '../image/store-image.ts'
import type { ByteString } from '../store/byte-string.ts'
import { show } from '../store/store-tree.ts'
import type { LinkPaths } from './link-paths.ts'
import {
  copyFile,
  type FillCounts,
  hasWantedOwnerAndTime,
  linkFile,
  noCounts,
  permissions,
  toLinkError,
} from './place-file.ts'

export interface MergedTarget {
  /** Name of the staging folder, which is made in the folder of the LinkPaths. */
  readonly name: string
  readonly paths: LinkPaths
  readonly entryRoom: EntryRoom
}

/** Makes a folder with the files of a layer of nix2container. Throws as a Linker does. */
export async function fillMergedLayer(layer: MergedLayer, target: MergedTarget): Promise<FillCounts> {
  try {
    return fillFolder(layer, await compileRegexes(layer), target)
  } catch (error) {
    throw toLinkError(error)
  }
}

/**
 * Makes what the layer's tar would unpack to. Throws as mergedEntries, before anything is made, and ArchiveInvalid if two entries
 * have the same place.
 */
function fillFolder(layer: MergedLayer, regexes: Regexes, target: MergedTarget): FillCounts {
  const { mtime } = layer.form
  const folder = Buffer.from(`${target.paths.folder}/${target.name}`)
  const counts = noCounts()
  mkdirSync(folder, WRITABLE)
  const taken = new Set<ByteString>()
  const open: OpenFolder[] = []
  for (const entry of mergedEntries(layer, regexes, made => takeEntries(target.entryRoom, made))) {
    const name = belowRoot(entry.name)
    takePlace(name, taken)
    finishFolders(open, name, mtime)
    if (isWhiteout(name.slice(name.lastIndexOf('/') + 1))) counts.whiteouts += 1
    const path = Buffer.concat([folder, Buffer.from(name, 'latin1')])
    if (entry.type !== 'directory') placeFile({ entry, path, mtime }, target, counts)
    else {
      if (name !== '') mkdirSync(path, WRITABLE)
      open.push({ name, path, entry })
    }
  }
  finishFolders(open, undefined, mtime)
  return counts
}

/** Permissions of a folder that is being filled. */
const WRITABLE = 0o700

/** Relative names become absolute, and the root's own name becomes empty. */
function belowRoot(name: ByteString): ByteString {
  if (name === '/' || name === '.') return ''
  return name.startsWith('/') ? name : `/${name}`
}

/** A relative and an absolute name can only meet at the top: the layer's tree keeps all names below apart. */
function takePlace(name: ByteString, taken: Set<ByteString>): void {
  if (name.lastIndexOf('/') > 0) return
  if (taken.has(name)) throw archiveInvalid(`would have two files at ${show(name)}`)
  taken.add(name)
}

/** Everything in a folder comes before what is beside it. */
interface OpenFolder {
  readonly name: ByteString
  readonly path: Buffer
  readonly entry: MergedEntry
}

/** Finishes the folders that do not hold the next entry, deepest first: a folder's time changes with whatever is made in it. */
function finishFolders(open: OpenFolder[], next: ByteString | undefined, mtime: number): void {
  for (let last = open.at(-1); last && !next?.startsWith(`${last.name}/`); last = open.at(-1)) {
    finishFolder(last.path, last.entry, mtime)
    open.pop()
  }
}

function finishFolder(path: Buffer, { mode, uid, gid }: MergedEntry, mtime: number): void {
  if (uid !== process.getuid?.() || gid !== process.getgid?.()) lchownSync(path, uid, gid)
  // After the owner, whose change removes setgid bits.
  chmodSync(path, mode & 0o7777)
  utimesSync(path, mtime, mtime)
}

interface MergedFile {
  /** Not a directory. */
  readonly entry: MergedEntry
  readonly path: Buffer
  readonly mtime: number
}

function placeFile({ entry, path, mtime }: MergedFile, { paths, entryRoom }: MergedTarget, counts: FillCounts): void {
  const { type, source = '', uid, gid } = entry
  const mode = entry.mode & 0o7777
  const task = { source: inStore(source, paths), target: path }
  const options = { how: paths.kind, uid, gid, mtime, entryRoom }
  const stats = lstatSync(task.source)
  // Linux has no permissions for symlinks.
  const isSame = hasWantedOwnerAndTime(stats, options) && (type === 'symlink' || permissions(stats) === mode)
  if (!isSame || !linkFile(task, options, counts)) copyFile(task, options, counts, mode)
}

function inStore(source: ByteString, { store }: LinkPaths): Buffer {
  return Buffer.concat([Buffer.from(store), Buffer.from(source.slice(STORE_DIR.length), 'latin1')])
}
