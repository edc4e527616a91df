import { chmodSync, lchownSync, mkdirSync, utimesSync } from 'node:fs'
import { type MergedEntry, mergedEntries } from '../formats/nix2container/entries.ts'
import type { Regexes } from '../formats/nix2container/regex.ts'
import type { CountEntries } from '../image/entry-room.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { MergedLayer } from '../layers/merged-layer.ts'
import { isWhiteout } from '../layers/whiteout.ts'
import { show } from '../store/at-path.ts'
import type { ByteString } from '../store/byte-string.ts'

/** A file or symlink that is to be as wanted at a place where nothing is yet. */
export interface MergedPlacing {
  readonly kind: 'file' | 'symlink'
  /** Absolute, in the store. */
  readonly source: Buffer
  readonly target: Buffer
  /** Permissions alone; Linux has none for symlinks. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** In seconds since 1970. */
  readonly mtime: number
}

export interface MergedFolder {
  readonly layer: MergedLayer
  readonly regexes: Regexes
  readonly folder: string
  readonly count?: CountEntries
}

/**
 * Makes in a new folder what the layer's tar would unpack to: the folders here, all else by `place`. Throws as
 * mergedEntries, before anything is made, and ArchiveInvalid when two entries have the same place. Returns how many of them
 * have the name of a whiteout.
 */
export function fillMergedFolder(
  { layer, regexes, folder, count }: MergedFolder,
  place: (file: MergedPlacing) => void,
): number {
  const { mtime } = layer.form
  mkdirSync(folder, WRITABLE)
  const taken = new Set<ByteString>()
  let whiteouts = 0
  const open: OpenFolder[] = []
  for (const entry of mergedEntries(layer, regexes, count)) {
    const name = belowRoot(entry.name)
    // A relative place that is an absolute one, too, is so from the top on.
    if (name.lastIndexOf('/') <= 0) {
      if (taken.has(name)) throw archiveInvalid(`would have two files at ${show(name)}`)
      taken.add(name)
    }
    finishFolders(open, name, mtime)
    if (isWhiteout(name.slice(name.lastIndexOf('/') + 1))) whiteouts += 1
    const target = Buffer.concat([Buffer.from(folder), Buffer.from(name, 'latin1')])
    if (entry.type !== 'directory') place(toPlacing(entry, { kind: entry.type, target, mtime }))
    else {
      if (name !== '') mkdirSync(target, WRITABLE)
      open.push({ name, target, entry })
    }
  }
  finishFolders(open, undefined, mtime)
  return whiteouts
}

/** A folder, all of which comes before what is beside it. */
interface OpenFolder {
  readonly name: ByteString
  readonly target: Buffer
  readonly entry: MergedEntry
}

/** Those that the next one is not in. Deepest first: a folder's time changes with whatever is made in it. */
function finishFolders(open: OpenFolder[], next: ByteString | undefined, mtime: number): void {
  for (let last = open.at(-1); last && !next?.startsWith(`${last.name}/`); last = open.at(-1)) {
    finishFolder(last.target, last.entry, mtime)
    open.pop()
  }
}

/** Until all is in it. */
const WRITABLE = 0o700

/** A name may be relative; the root's own becomes empty. */
function belowRoot(name: ByteString): ByteString {
  if (name === '/' || name === '.') return ''
  return name.startsWith('/') ? name : `/${name}`
}

function toPlacing(entry: MergedEntry, place: Pick<MergedPlacing, 'kind' | 'target' | 'mtime'>): MergedPlacing {
  const { source = '', mode, uid, gid } = entry
  return { ...place, source: Buffer.from(source, 'latin1'), mode: mode & 0o7777, uid, gid }
}

function finishFolder(target: Buffer, { mode, uid, gid }: MergedEntry, mtime: number): void {
  if (uid !== process.getuid?.() || gid !== process.getgid?.()) lchownSync(target, uid, gid)
  // After the owner, whose change takes setgid bits away.
  chmodSync(target, mode & 0o7777)
  utimesSync(target, mtime, mtime)
}
