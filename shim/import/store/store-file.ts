import { type FileHandle, lstat } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'
import { hasCode } from '../../../lib/error-code.ts'
import { messageOf, RetryableError } from '../../../lib/errors.ts'
import { isStorePath, STORE_DIR } from '../../../recipes/store-path.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { Closure, ClosureFile } from './closure.ts'

/** The whole file, or undefined if it is longer than `maxBytes`. Throws as openStoreFile. */
export async function readStoreFile(path: string, maxBytes: number, closure: Closure): Promise<Buffer | undefined> {
  await using file = await openStoreFile(path, closure)
  const bytes = await file.head(maxBytes + 1)
  return bytes.length > maxBytes ? undefined : bytes
}

/** Opens a file that an image names, following links. Throws ArchiveInvalid unless it is a regular file of the closure. */
async function openStoreFile(path: string, closure: Closure): Promise<ClosureFile> {
  const found = await closure.find(path)
  if (found?.stats.isFile()) return found
  await found?.[Symbol.asyncDispose]()
  throw archiveInvalid(`names ${path}, which is not a file of the package or of what it refers to`)
}

/** The path of the file that links lead to. Throws as openStoreFile. */
export async function resolveStoreFile(path: string, closure: Closure): Promise<string> {
  await using file = await openStoreFile(path, closure)
  return file.path
}

/**
 * Gives the bytes of a file that an image names to `use`, and closes the file afterwards, however much of it was read: a generator
 * that was never started would leave it open. Throws as openStoreFile.
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

/** Bytes of one read. */
const READ_BYTES = 128 * 1024

/** From the current position of the file. */
export async function* bytesOf(handle: FileHandle): AsyncGenerator<Buffer> {
  for (;;) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}

/** Longest path of Linux, in bytes. */
const MAX_PATH_BYTES = 4095

/** Whether the text is a store path or a path below one. Links may still lead elsewhere. */
export function isPathInStore(path: string, storeDir = STORE_DIR): boolean {
  const [name = '', ...below] = path.slice(storeDir.length + 1).split('/')
  if (!isStorePath(`${storeDir}/${name}`, storeDir) || !path.startsWith(`${storeDir}/`)) return false
  return Buffer.byteLength(path) <= MAX_PATH_BYTES && !path.includes('\0') && below.every(isPlainPart)
}

function isPlainPart(part: string): boolean {
  return part !== '' && part !== '.' && part !== '..'
}

/** Whether anything has that path, including a dangling link. Throws ImportInterrupted. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (cause) {
    if (hasCode(cause, 'ENOENT', 'ENOTDIR')) return false
    throw new RetryableError('ImportInterrupted', `${path} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** Files that are looked at concurrently. */
const MAX_OPEN = 32

/** Names of the programs in `bin`, sorted, without those that start with a dot: wrappers hide the wrapped program there. */
export async function listPrograms(folder: string, closure: Closure): Promise<string[]> {
  await using bin = await closure.find(join(folder, 'bin'))
  if (!bin?.stats.isDirectory()) return []
  const visible = (await bin.list()).filter(name => !name.startsWith('.')).sort()
  const found = await pMap(visible, name => isProgram(join(bin.path, name), closure), { concurrency: MAX_OPEN })
  return visible.filter((_, index) => found[index])
}

const ANY_EXECUTE = 0o111

/** Whether it is an executable file of the closure, as the image has no others. */
export async function isProgram(path: string, closure: Closure): Promise<boolean> {
  await using found = await closure.find(path)
  return found?.stats.isFile() === true && (found.stats.mode & ANY_EXECUTE) !== 0
}
