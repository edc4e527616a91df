import { lstatSync, type Stats } from 'node:fs'
import { archiveInvalid } from '../invalid.ts'
import { atPath, show } from './at-path.ts'
import type { ByteString } from './byte-string.ts'
import type { MergedLayer, MergedPath } from './merged-layer.ts'
import type { GoRegex, Regexes } from './merged-regex.ts'
import { replaceAll } from './merged-rewrite.ts'
import { storeTree } from './store-tree.ts'

/** A place in the layer. Its children are by their names; the root of all has the empty name, as in `/nix`. */
export interface MergedNode {
  readonly children: Map<ByteString, MergedNode>
  /** What is there; without it a folder is, since something is below. */
  file?: MergedFile
}

export interface MergedFile {
  /** Absolute. */
  readonly source: ByteString
  readonly stats: Stats
  readonly from: MergedPath
}

/**
 * All store paths of a layer in one tree, each file at the place that it is moved to. Source: nix2container, nix/graph.go.
 * Throws ArchiveInvalid for files that get into each other's way, or out of the root; ImportInterrupted.
 */
export function mergeTree(layer: MergedLayer, regexes: Regexes): MergedNode {
  const root: MergedNode = { children: new Map() }
  for (const from of layer.paths) {
    const regex = from.rewrite?.regex ? regexes.get(from.rewrite.regex) : undefined
    for (const { path } of storeTree([from.path])) addFile(path, { root, from, regex })
  }
  return root
}

interface Adding {
  readonly root: MergedNode
  readonly from: MergedPath
  readonly regex: GoRegex | undefined
}

function addFile(source: ByteString, { root, from, regex }: Adding): void {
  const place = regex ? replaceAll(source, regex, from.rewrite?.repl ?? '') : source
  // What a rewrite leaves nothing of has no place.
  if (place === '') return
  const file = { source, stats: atPath(source, path => lstatSync(path)), from }
  const node = findNode(root, place)
  if (node.file) checkAlike(place, node.file, file)
  node.file = file
}

function findNode(root: MergedNode, place: ByteString): MergedNode {
  let node = root
  for (const part of partsOf(place)) {
    const child = node.children.get(part) ?? { children: new Map() }
    node.children.set(part, child)
    node = child
  }
  return node
}

/** As Go's `filepath.Clean` leaves them. Those of an absolute path begin with an empty one. */
function partsOf(place: ByteString): ByteString[] {
  const isAbsolute = place.startsWith('/')
  const parts: ByteString[] = isAbsolute ? [''] : []
  for (const part of place.split('/')) {
    if (part === '..') leave(parts, place)
    else if (part !== '' && part !== '.') parts.push(part)
  }
  if (place.includes('\0')) throw archiveInvalid(`would have a file at ${show(place)}`)
  return parts.length === 0 ? ['.'] : parts
}

/** There is nothing above the root of an absolute path. */
function leave(parts: ByteString[], place: ByteString): void {
  if (parts.length === 0) throw archiveInvalid(`would have a file at ${show(place)}, which is out of its root`)
  if (parts.at(-1) !== '') parts.pop()
}

function checkAlike(place: ByteString, one: MergedFile, other: MergedFile): void {
  const isSame = one.stats.mode === other.stats.mode && (!one.stats.isFile() || one.stats.size === other.stats.size)
  const hasOptions = one.from.rewrite !== undefined || one.from.perms.length > 0
  if (isSame && (!hasOptions || JSON.stringify(one.from.perms) === JSON.stringify(other.from.perms))) return
  const sources = [one, other].map(({ source }) => show(source)).join(' and ')
  throw archiveInvalid(`would have two different files at ${show(place)}: ${sources}`)
}
