import type { FileHandle } from 'node:fs/promises'
import { isStorePath, STORE_DIR } from '../../../recipes/store-path.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { Closure, ClosureFile } from './closure.ts'

/** Bytes that are read at once. */
const READ_BYTES = 128 * 1024

/** Longest path that Linux takes, in bytes. */
const MAX_PATH_BYTES = 4095

/** The whole file, or undefined when it is longer than `maxBytes`. Throws as openStoreFile. */
export async function readStoreFile(path: string, maxBytes: number, closure: Closure): Promise<Buffer | undefined> {
  await using file = await openStoreFile(path, closure)
  const bytes = await file.head(maxBytes + 1)
  return bytes.length > maxBytes ? undefined : bytes
}

/** A file that an image names; links are followed. Throws ArchiveInvalid when it is no regular file of the closure. */
export async function openStoreFile(path: string, closure: Closure): Promise<ClosureFile> {
  const found = await closure.find(path)
  if (found?.stats.isFile()) return found
  await found?.[Symbol.asyncDispose]()
  throw archiveInvalid(`names ${path}, which is no file of the package, nor of what it refers to`)
}

/** Where links lead from a path. Throws as openStoreFile. */
export async function resolveStoreFile(path: string, closure: Closure): Promise<string> {
  await using file = await openStoreFile(path, closure)
  return file.path
}

/** Whether it is a store path or a path below one, by its text alone: links may still lead elsewhere. */
export function isPathInStore(path: string, storeDir = STORE_DIR): boolean {
  const [name = '', ...below] = path.slice(storeDir.length + 1).split('/')
  if (!isStorePath(`${storeDir}/${name}`, storeDir) || !path.startsWith(`${storeDir}/`)) return false
  return Buffer.byteLength(path) <= MAX_PATH_BYTES && !path.includes('\0') && below.every(isPlainPart)
}

function isPlainPart(part: string): boolean {
  return part !== '' && part !== '.' && part !== '..'
}

/**
 * Has `use` read a file that an image names. The file is closed afterwards, however much of it was read: a generator that nobody
 * has begun to read, or that its reader gives up in silence, would leave it open. Throws as openStoreFile.
 */
export async function withFileBytes<T>(
  path: string,
  closure: Closure,
  use: (bytes: AsyncGenerator<Buffer>) => Promise<T>,
): Promise<T> {
  await using file = await openStoreFile(path, closure)
  await using handle = await file.openToRead()
  return await use(bytesOf(handle))
}

/** From where the file stands. */
export async function* bytesOf(handle: FileHandle): AsyncGenerator<Buffer> {
  for (;;) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}
