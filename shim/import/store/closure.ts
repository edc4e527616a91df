import { constants, type Stats } from 'node:fs'
import { type FileHandle, lstat, open, opendir, readdir, readlink, realpath } from 'node:fs/promises'
import { dirname, sep } from 'node:path'
import { hasCode } from '../../../lib/error-code.ts'
import { messageOf, RetryableError } from '../../../lib/errors.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { ByteString } from './byte-string.ts'

/**
 * A store path and everything that it refers to, as registered in the Nix database: only this is read as root for an image, and
 * only this gets into it.
 */
export interface Closure {
  /** The folder of all its paths. */
  readonly storeDir: string
  readonly infos: StoreInfos
  /**
   * Finds what is at a path, following links. Undefined when nothing is there, and also when something outside of the closure is:
   * image authors must not learn what is in folders that they cannot read. Throws ImportInterrupted.
   */
  find(path: string): Promise<ClosureFile | undefined>
}

/** What Nix knows of store paths, by path. */
export type StoreInfos = ReadonlyMap<string, StorePathInfo>

/** A file or folder, held by a descriptor: it stays the same whatever happens to its path. */
export interface ClosureFile extends AsyncDisposable {
  /** Without links. */
  readonly path: string
  readonly stats: Stats
  /** Opens a regular file, which the caller closes. */
  openToRead(): Promise<FileHandle>
  /** Reads the first `length` bytes of a regular file, or all of a shorter one. */
  head(length: number): Promise<Buffer>
  /** Names in a folder. */
  list(): Promise<string[]>
  /** Names in a folder as bytes, one after another, unordered. */
  names(): AsyncIterable<ByteString>
}

/**
 * What Nix knows of these paths. Throws ArchiveInvalid if the closure lacks one: it may be unfinished, collected, or another
 * tenant's.
 */
export function requireInfos({ infos }: Closure, paths: readonly string[]): StoreInfos {
  const missing = paths.find(path => !infos.has(path))
  if (missing === undefined) return infos
  throw archiveInvalid(`names ${missing}, which is not a valid store path that the package refers to`)
}

/** Throws what the query throws. */
export async function openClosure(
  storePath: string,
  query: (storePath: string) => Promise<readonly StorePathInfo[]>,
): Promise<Closure> {
  const storeDir = dirname(storePath)
  const infos = new Map((await query(storePath)).map(info => [info.path, info]))
  const root = `${await realpath(storeDir)}${sep}`
  const isInside = (path: string) =>
    path.startsWith(root) && infos.has(`${storeDir}${sep}${path.slice(root.length).split(sep, 1)}`)
  return {
    storeDir,
    infos,
    async find(path) {
      const handle = await openUnread(path)
      if (!handle) return undefined
      await using opened = new AsyncDisposableStack()
      opened.use(handle)
      const [real, stats] = [await readlink(inProc(handle)), await handle.stat()]
      if (!isInside(real) || !(await isAt(real, stats))) return undefined
      opened.move()
      return toFile(real, handle, stats)
    },
  }
}

/** Opens without any access, so that nothing happens to what a link leads to, such as a device. Source: open(2). */
const O_PATH = 0o10000000

async function openUnread(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, O_PATH)
  } catch (cause) {
    // The last code: the path contains a NUL.
    if (hasCode(cause, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE')) return undefined
    throw new RetryableError('ImportInterrupted', `${path} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** A file of another mount namespace, such as one below /proc/PID/root, claims the path that it has there. */
async function isAt(path: string, { dev, ino }: Stats): Promise<boolean> {
  const there = await lstat(path).catch(() => undefined)
  return there?.dev === dev && there.ino === ino
}

/** A link to the open file; its target is the file's path. */
function inProc({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`
}

function toFile(path: string, handle: FileHandle, stats: Stats): ClosureFile {
  const openToRead = () => open(inProc(handle), constants.O_RDONLY | constants.O_NONBLOCK)
  return {
    path,
    stats,
    openToRead,
    async head(length) {
      await using file = await openToRead()
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0)
      return buffer.subarray(0, bytesRead)
    },
    list: () => readdir(inProc(handle)),
    async *names() {
      for await (const { name } of await opendir(inProc(handle), { encoding: 'latin1' })) yield name
    },
    [Symbol.asyncDispose]: () => handle.close(),
  }
}
