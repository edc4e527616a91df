import { lstatSync } from 'node:fs'
import { archiveInvalid } from '../../image/errors.ts'
import type { CountEntries } from '../../image/size-limit.ts'
import type { MergedLayer, MergedPath } from '../../image/store-image.ts'
import type { ByteString } from '../../store/byte-string.ts'
import { atPath, show, storeTree } from '../../store/store-tree.ts'
import { type GoRegex, type Regexes, replaceAll } from './regex.ts'

/** A place in the layer, with its children by name. The root directory has the empty name, as in `/nix`. */
export interface MergedNode {
  /** Undefined as long as there are none, which is most common. */
  children?: Map<ByteString, MergedNode>
  /** Undefined for a folder that is implied by what is below. */
  file?: MergedFile
}

export interface MergedFile {
  /** Absolute. */
  readonly source: ByteString
  readonly type: 'file' | 'symlink' | 'directory'
  /** Type and permissions, as in stat(2). */
  readonly mode: number
  /** In bytes. */
  readonly size: number
  readonly from: MergedPath
}

/**
 * Merges all store paths of a layer into one tree, each file at the place that it is moved to. Source: nix2container,
 * nix/graph.go. Throws ArchiveInvalid for files that are in each other's way, outside of the root, or too deep, and for too many
 * of them; ImportInterrupted; and as `count` does.
 */
export function mergeTree(layer: MergedLayer, regexes: Regexes, count?: CountEntries): MergedNode {
  const root: MergedNode = {}
  const counted = countWithin(MAX_ENTRIES, count)
  for (const from of layer.paths) {
    const regex = from.rewrite?.regex ? regexes.get(from.rewrite.regex) : undefined
    for (const { path } of storeTree([from.path])) addFile(path, { root, from, regex, count: counted })
  }
  return root
}

/** Of one layer, all of which is in memory. Real layers have far fewer. */
const MAX_ENTRIES = 1_000_000

function countWithin(most: number, count: CountEntries = () => {}): CountEntries {
  let total = 0
  return made => {
    total += made
    if (total > most) throw archiveInvalid(`has a layer of more than ${most} files and folders`)
    count(made)
  }
}

interface Adding {
  readonly root: MergedNode
  readonly from: MergedPath
  readonly regex: GoRegex | undefined
  readonly count: CountEntries
}

function addFile(source: ByteString, { root, from, regex, count }: Adding): void {
  const place = regex ? replaceAll(source, regex, from.rewrite?.repl ?? '') : source
  // A file whose path is rewritten to nothing is left out.
  if (place === '') {
    count(1)
    return
  }
  const stats = atPath(source, path => lstatSync(path))
  const type = stats.isFile() ? 'file' : stats.isSymbolicLink() ? 'symlink' : 'directory'
  const file: MergedFile = { source, type, mode: stats.mode, size: stats.size, from }
  const node = findNode(root, place, count)
  if (node.file) checkAlike(place, node.file, file)
  node.file = file
}

/** Counts new places, or one for a file without a new place, since that takes time too. */
function findNode(root: MergedNode, place: ByteString, count: CountEntries): MergedNode {
  let node = root
  let isCounted = false
  for (const part of partsOf(place)) {
    let child = node.children?.get(part)
    if (!child) {
      count(1)
      isCounted = true
      child = {}
      node.children ??= new Map()
      node.children.set(part, child)
    }
    node = child
  }
  if (!isCounted) count(1)
  return node
}

/** Longest path of Linux (PATH_MAX includes a NUL). */
const MAX_PLACE_BYTES = 4095
/** Each level costs a folder, for as little as two bytes. */
const MAX_DEPTH = 255

/** Parts of a path that was cleaned as by Go's `filepath.Clean`. The first part of an absolute path is empty. */
function partsOf(place: ByteString): ByteString[] {
  if (place.length > MAX_PLACE_BYTES)
    throw archiveInvalid(`would have a file at ${show(place)}, which is too long a path`)
  const isAbsolute = place.startsWith('/')
  const parts: ByteString[] = isAbsolute ? [''] : []
  for (const part of place.split('/')) {
    if (part === '..') leave(parts, place)
    else if (part !== '' && part !== '.') parts.push(part)
  }
  if (place.includes('\0')) throw archiveInvalid(`would have a file at ${show(place)}`)
  if (parts.length > MAX_DEPTH)
    throw archiveInvalid(`would have a file at ${show(place)}, more than ${MAX_DEPTH} folders deep`)
  return parts.length === 0 ? ['.'] : parts
}

/** `..` at the root of an absolute path has no effect. */
function leave(parts: ByteString[], place: ByteString): void {
  if (parts.length === 0) throw archiveInvalid(`would have a file at ${show(place)}, which is outside of its root`)
  if (parts.at(-1) !== '') parts.pop()
}

function checkAlike(place: ByteString, one: MergedFile, other: MergedFile): void {
  const isSame = one.mode === other.mode && (one.type !== 'file' || one.size === other.size)
  const hasOptions = one.from.rewrite !== undefined || one.from.perms.length > 0
  if (isSame && (!hasOptions || JSON.stringify(one.from.perms) === JSON.stringify(other.from.perms))) return
  const sources = [one, other].map(({ source }) => show(source)).join(' and ')
  throw archiveInvalid(`would have two different files at ${show(place)}: ${sources}`)
}
