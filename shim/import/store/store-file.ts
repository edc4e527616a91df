import { archiveInvalid } from '../image/errors.ts'
import type { Closure, ClosureFile } from './closure.ts'

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
