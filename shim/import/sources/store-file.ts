import { constants } from 'node:fs'
import { lstat, open, realpath } from 'node:fs/promises'
import { hasCode } from '../../error-code.ts'
import { messageOf, RetryableError } from '../../errors.ts'
import { archiveInvalid } from '../invalid.ts'
import { readHead } from '../read-head.ts'
import { isPathInStore } from './path-in-store.ts'

/** As readUpTo, of a file that an image names: links are followed, but not out of the store. */
export async function readStoreFile(path: string, maxBytes: number, storeDir?: string): Promise<Buffer | undefined> {
  return readUpTo(await resolveStoreFile(path, storeDir), maxBytes)
}

/** Where links lead from a path in the store. Throws ArchiveInvalid when that is no regular file of the store. */
export async function resolveStoreFile(path: string, storeDir?: string): Promise<string> {
  const resolved = await realpath(path).catch(cause => refuse(path, cause))
  if (!isPathInStore(resolved, storeDir)) throw archiveInvalid(`names ${path}, which leads out of the Nix store`)
  const stats = await lstat(resolved).catch(cause => refuse(path, cause))
  if (!stats.isFile()) throw archiveInvalid(`names ${path}, which is no file`)
  return resolved
}

/** The whole file, or undefined when it is longer than `maxBytes`. The path has no link in it. */
export async function readUpTo(path: string, maxBytes: number): Promise<Buffer | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(cause => refuse(path, cause))
  try {
    const bytes = await readHead(file, maxBytes + 1)
    return bytes.length > maxBytes ? undefined : bytes
  } finally {
    await file.close()
  }
}

function refuse(path: string, cause: unknown): never {
  if (hasCode(cause, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'))
    throw archiveInvalid(`names ${path}, which is not in this node's Nix store`, cause)
  throw new RetryableError('ImportInterrupted', `${path} cannot be read: ${messageOf(cause)}`, { cause })
}
