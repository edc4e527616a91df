import { constants, type Stats } from 'node:fs'
import { type FileHandle, lstat, open, opendir, readdir, readlink, realpath } from 'node:fs/promises'
import { dirname, sep } from 'node:path'
import { hasCode } from '../../../lib/error-code.ts'
import { messageOf, RetryableError } from '../../../lib/errors.ts'
import type { StorePathInfo } from '../image/contract.ts'
import type { ByteString } from './byte-string.ts'
import { readHead } from './read-head.ts'

/** A store path and all that it refers to, as Nix has registered it: what may be read as root for its image. */
export interface Closure {
  /** The folder that all of it lies in. */
  readonly storeDir: string
  readonly infos: ReadonlyMap<string, StorePathInfo>
  /**
   * What is at a path, links followed; undefined when nothing is there, or nothing of the closure: who cannot read a folder is
   * not told what is in it. Throws ImportInterrupted.
   */
  find(path: string): Promise<ClosureFile | undefined>
}

/** What was found, held by a descriptor: whatever becomes of its path, this stays the same. */
export interface ClosureFile extends AsyncDisposable {
  /** Where it lies, without a link. */
  readonly path: string
  readonly stats: Stats
  /** Of a regular file; the caller closes it. */
  openToRead(): Promise<FileHandle>
  /** The first `length` bytes of a regular file, or fewer when it is shorter. */
  head(length: number): Promise<Buffer>
  /** Names in a folder. */
  list(): Promise<string[]>
  /** The same as bytes, one after another, in no order. */
  names(): AsyncIterable<ByteString>
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

/** Opens for no access at all: whatever a link leads to, a device for one, nothing happens to it. Source: open(2). */
const O_PATH = 0o10000000

async function openUnread(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, O_PATH)
  } catch (cause) {
    // The last one: there is a NUL in it.
    if (hasCode(cause, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE')) return undefined
    throw new RetryableError('ImportInterrupted', `${path} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** What is in another mount namespace, below /proc/PID/root for one, seems to be at its path there. */
async function isAt(path: string, { dev, ino }: Stats): Promise<boolean> {
  const there = await lstat(path).catch(() => undefined)
  return there?.dev === dev && there.ino === ino
}

/** Leads to what was opened, and tells where that is. */
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
      return await readHead(file, length)
    },
    list: () => readdir(inProc(handle)),
    async *names() {
      for await (const { name } of await opendir(inProc(handle), { encoding: 'latin1' })) yield name
    },
    [Symbol.asyncDispose]: () => handle.close(),
  }
}
