import {
  closeSync,
  constants,
  type Dirent,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  type Stats,
} from 'node:fs'
import { hasCode } from '../../../lib/error-code.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { STORE_DIR } from '../../../recipes/store-path.ts'
import { archiveInvalid } from '../image/errors.ts'
import { type ByteString, bytesOf, isAscii, sortKey } from './byte-string.ts'

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

/** The path was another kind of file a moment ago, or existed. */
const CHANGED = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EINVAL', 'ENXIO']

/**
 * Runs `read` with a path in the store. Throws ImportInterrupted if what is there has changed since its folder was listed, and
 * ArchiveInvalid if the path is too long for the system.
 */
export function atPath<Result>(path: ByteString, read: (path: string | Buffer) => Result): Result {
  try {
    return read(isAscii(path) ? path : Buffer.from(path, 'latin1'))
  } catch (error) {
    if (hasCode(error, ...CHANGED)) throw changed(path, error)
    if (hasCode(error, 'ENAMETOOLONG')) throw archiveInvalid(`names ${show(path)}, which is too long a path`, error)
    throw error
  }
}

/** Store paths do not change, but they may be collected. */
export function changed(path: ByteString, cause?: unknown): RetryableError {
  return new RetryableError('ImportInterrupted', `${show(path)} changed or went away while it was read`, { cause })
}

/** For a message. */
export function show(path: ByteString): string {
  return quote(Buffer.from(path, 'latin1').toString('utf8'))
}

/** Opening follows no symlink, and does not block at a file that has become a pipe. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Opens a path that must not lead through a link: the owner of a store that is not root's could put one there to lead root
 * elsewhere. Throws ImportInterrupted then, and as atPath.
 */
export function openThere(path: ByteString, flags = 0): number {
  const file = atPath(path, at => openSync(at, FLAGS | flags))
  if (isAt(file, path)) return file
  closeSync(file)
  throw changed(path)
}

/** A link to the open file. */
function inProc(file: number): string {
  return `/proc/self/fd/${file}`
}

function isAt(file: number, path: ByteString): boolean {
  const real = readlinkSync(inProc(file), 'buffer').toString('latin1')
  if (real === path) return true
  // The store itself may be a link.
  return path.startsWith(`${STORE_DIR}/`) && real === realpathSync(STORE_DIR) + path.slice(STORE_DIR.length)
}
