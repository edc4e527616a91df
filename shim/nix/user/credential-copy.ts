import { constants } from 'node:fs'
import { lstat, open, readFile } from 'node:fs/promises'
import { hasCode } from '../../../lib/error-code.ts'
import { writeAtomically } from '../../../lib/files/atomic-file.ts'
import { type BuildUser, hasGroupOfItsOwn } from './build-user.ts'

const MAX_BYTES = 2 ** 20

/** The content of a file that the config names as a credential. */
export async function readCredential(path: string): Promise<Buffer> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const stats = await file.stat()
  if (!stats.isFile()) throw new Error(`${path} is not a file`)
  if (stats.size > MAX_BYTES) throw new Error(`${path} is larger than 1 MiB`)
  return await file.readFile()
}

/** Owner and mode of a copy. */
export interface Access {
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

/** A copy belongs to root, unless the build user shares its group with others. `name` is null if nix runs as the user of the shim. */
export async function findAccess(user: Pick<BuildUser, 'uid' | 'gid'>, name: string | null): Promise<Access> {
  const ours = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }
  if (user.uid === undefined || user.gid === undefined || name === null) return { ...ours, mode: 0o400 }
  if (await hasGroupOfItsOwn(name)) return { uid: ours.uid, gid: user.gid, mode: 0o440 }
  return { uid: user.uid, gid: ours.gid, mode: 0o400 }
}

/** Writes a copy that others can read at no time. Returns whether the copy changed. */
export async function writeCopy(path: string, bytes: Buffer, access: Access): Promise<boolean> {
  if (await isCopy(path, bytes, access)) return false
  await writeAtomically(path, bytes, { mode: access.mode, owner: access })
  return true
}

async function isCopy(path: string, bytes: Buffer, { uid, gid, mode }: Access): Promise<boolean> {
  try {
    const stats = await lstat(path)
    const isRight = stats.isFile() && stats.uid === uid && stats.gid === gid && (stats.mode & 0o7777) === mode
    return isRight && bytes.equals(await readFile(path))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}
