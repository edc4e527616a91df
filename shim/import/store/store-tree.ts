import { closeSync, constants, type Dirent, lstatSync, readdirSync, type Stats } from 'node:fs'
import { quote } from '../../../lib/text/quote.ts'
import { archiveInvalid } from '../image/errors.ts'
import { atPath, inProc, openThere, show } from './at-path.ts'
import { type ByteString, bytesOf, sortKey } from './byte-string.ts'

export interface TreeEntry {
  /** Absolute. */
  readonly path: ByteString
  readonly type: 'file' | 'symlink' | 'directory'
}

/**
 * Walks each path and everything below it, a folder before what it holds, in the order of Python's `sorted` for paths of pathlib:
 * by the code points of names. Follows no symlink, and keeps only the names in the open folders in memory. Throws ArchiveInvalid
 * for a path that is not absolute and plain, and for what is neither file, folder nor symlink; ImportInterrupted for what is
 * missing.
 */
export function* storeTree(paths: readonly string[]): Generator<TreeEntry> {
  for (const path of paths) yield* walk(startOf(path))
}

function startOf(path: string): TreeEntry {
  if (!isPlain(path)) throw archiveInvalid(`names an unusable path: ${quote(path)}`)
  const bytes = bytesOf(path)
  return toEntry(
    bytes,
    atPath(bytes, at => lstatSync(at)),
  )
}

function isPlain(path: string): boolean {
  const [root, ...names] = path.split('/')
  return root === '' && names.length > 0 && names.every(isName) && !path.includes('\0')
}

function isName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..'
}

function* walk(start: TreeEntry): Generator<TreeEntry> {
  const stack = [start]
  for (let entry = stack.pop(); entry; entry = stack.pop()) {
    yield entry
    if (entry.type === 'directory') for (const child of childrenOf(entry.path)) stack.push(child)
  }
}

/** Last one first, since they go onto a stack. */
function childrenOf(folder: ByteString): TreeEntry[] {
  const entries = entriesOf(folder)
  const named = entries.map(entry => {
    const name = entry.name.toString('latin1')
    return { name, key: sortKey(name), entry }
  })
  named.sort((a, b) => (a.key < b.key ? 1 : -1))
  return named.map(({ name, entry }) => toEntry(`${folder}/${name}`, entry))
}

function entriesOf(folder: ByteString): Dirent<Buffer>[] {
  const opened = openThere(folder, constants.O_DIRECTORY)
  try {
    return readdirSync(inProc(opened), { withFileTypes: true, encoding: 'buffer' })
  } finally {
    closeSync(opened)
  }
}

function toEntry(path: ByteString, kind: Stats | Dirent<Buffer>): TreeEntry {
  if (kind.isFile()) return { path, type: 'file' }
  if (kind.isDirectory()) return { path, type: 'directory' }
  if (kind.isSymbolicLink()) return { path, type: 'symlink' }
  throw archiveInvalid(`names ${show(path)}, which is neither file, folder nor symlink`)
}
