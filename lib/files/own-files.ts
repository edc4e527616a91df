import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { chmod, chown, type FileHandle, lstat, mkdir, open } from 'node:fs/promises'
import { hasCode } from '../error-code.ts'
import { RetryableError } from '../errors.ts'

/**
 * Creates the state folder if it is missing. Other users can enter it but not list it, as the build user owns folders
 * inside.
 */
export async function makeStateDir(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o711 })
}

export interface OwnFolder {
  readonly mode: number
  /** Group that may read the folder. */
  readonly gid?: number | undefined
}

/**
 * Creates a folder that only the shim can write to, or uses the existing one. The parent must be such a folder, too, so
 * that nobody can replace what was checked. Throws StateDirUnsafe.
 */
export async function makeOwnFolder(path: string, { mode, gid }: OwnFolder): Promise<void> {
  await mkdir(path, { mode }).catch(ignoreExisting)
  await checkOwnFolder(path)
  if (gid !== undefined) await chown(path, process.geteuid?.() ?? 0, gid)
}

/** Makes the shim the only owner of another user's folder. The parent must belong to the shim. */
export async function takeOver(path: string): Promise<void> {
  await chown(path, process.geteuid?.() ?? 0, process.getegid?.() ?? 0)
  // Until now its user could have opened it to everybody.
  await chmod(path, 0o700)
}

/** Throws StateDirUnsafe if another user can change what is read from the folder. */
export async function checkOwnFolder(path: string): Promise<void> {
  throwFault(await findFolderFault(path))
}

/**
 * Opens such a folder, so that nobody can replace it afterwards: files are reached through `/proc/self/fd/<fd>`. Throws as
 * checkOwnFolder does, and ENOENT.
 */
export async function openOwnFolder(path: string): Promise<FileHandle> {
  await checkOwnFolder(path)
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    throwFault(faultOf(path, await folder.stat()))
    return folder
  } catch (error) {
    await folder.close()
    throw error
  }
}

function throwFault(fault: FolderFault | undefined): void {
  if (fault) throw new RetryableError('StateDirUnsafe', `${fault.what}: ${fault.wayOut}`)
}

export interface FolderFault {
  readonly what: string
  readonly wayOut: string
}

/** How another user can change what is read from the folder. Undefined if nobody can, or if there is no folder. */
export async function findFolderFault(path: string): Promise<FolderFault | undefined> {
  const stats = await look(path)
  return stats && faultOf(path, stats)
}

function faultOf(path: string, stats: Stats): FolderFault | undefined {
  if (isOwnFolder(stats)) return undefined
  if (stats.isSymbolicLink())
    return { what: `${path} is a symlink, which the shim does not follow`, wayOut: 'replace it with a folder' }
  if (!stats.isDirectory()) return { what: `${path} is not a folder`, wayOut: 'remove it' }
  const { uid, mode } = stats
  const ours = process.geteuid?.() ?? 0
  if (uid !== ours) {
    const wayOut = `check what is in it, then run chown -R ${ours} ${path}, or remove it`
    return { what: `${path} belongs to user ${uid}, not to user ${ours}, which runs the shim`, wayOut }
  }
  const octal = (mode & 0o777).toString(8)
  return { what: `${path} can be written to by other users (mode ${octal})`, wayOut: `run chmod go-w ${path}` }
}

/** Whether there is a folder that another user owns or can write to. */
export async function isFolderOfOthers(path: string): Promise<boolean> {
  const stats = await look(path)
  return stats?.isDirectory() === true && !isOurs(stats)
}

function isOwnFolder(stats: Stats): boolean {
  return stats.isDirectory() && isOurs(stats)
}

async function look(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

function ignoreExisting(error: unknown): void {
  if (!hasCode(error, 'EEXIST')) throw error
}

/**
 * The text of a file in a folder of the shim. Undefined if the file is missing, or if another user could have created
 * or changed it.
 */
export function readOwnFile(folder: string, path: string): string | undefined {
  try {
    if (!isOurs(lstatSync(folder))) return undefined
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const stats = fstatSync(file)
      return stats.isFile() && isOurs(stats) ? readFileSync(file, 'utf8') : undefined
    } finally {
      closeSync(file)
    }
  } catch {
    return undefined
  }
}

/** Write permission of group and others. */
const OTHERS_WRITE = 0o022

/** Whether the shim owns it and no other user can write to it. */
function isOurs({ uid, mode }: Stats): boolean {
  return uid === process.geteuid?.() && (mode & OTHERS_WRITE) === 0
}
