import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chown, readdir, rename, rm, rmdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findFairExcess, type Holding, type Room } from '../fair-excess.ts'
import { SYSTEM_PATH } from '../system-path.ts'
import type { BuildUser } from './build-user.ts'

export interface CacheEntry extends Holding {
  readonly name: string
}

export interface Pruning {
  readonly dir: string
  readonly user: Pick<BuildUser, 'uid' | 'gid'>
  /** What opens and closes caches waits for tasks in here. */
  readonly inTurn: <Result>(task: () => Promise<Result>) => Promise<Result>
  readonly isUsed: (name: string) => boolean
}

const MAX_CACHES = 512
const MAX_AGE_MS = 30 * 24 * 3_600_000
const MAX_TOTAL_BYTES = 16 * 1024 ** 3
/** Of the file system. */
const MAX_SHARE = 0.1

/** What all caches together may take on the file system of that folder. */
export async function roomForCaches(dir: string): Promise<Room> {
  const { blocks, bsize } = await statfs(dir)
  return { count: MAX_CACHES, bytes: Math.min(MAX_TOTAL_BYTES, Math.floor(blocks * bsize * MAX_SHARE)) }
}

/** Those that were unused for too long, and those that have no room: of the namespaces that hold the most. */
export function findExcess(caches: readonly CacheEntry[], room: Room, now = Date.now()): CacheEntry[] {
  const isOld = ({ usedAt }: CacheEntry) => usedAt < now - MAX_AGE_MS
  return [
    ...caches.filter(isOld),
    ...findFairExcess(
      caches.filter(cache => !isOld(cache)),
      room,
    ),
  ]
}

/** What is to be removed has such a name, so that nobody takes it for a cache if that is interrupted. */
const DOOMED = 'doomed-'

/** Removes a cache; false when it is in use. */
export async function removeCache({ dir, user, inTurn, isUsed }: Pruning, name: string): Promise<boolean> {
  const doomed = join(dir, `${DOOMED}${randomUUID()}`)
  const isAside = await inTurn(async () => {
    if (isUsed(name)) return false
    await rename(join(dir, name), doomed)
    return true
  })
  if (isAside) await removeTree(doomed, user)
  return isAside
}

/** The names of the caches that there are; what an interrupted removal has left goes. */
export async function listCaches({ dir, user }: Pick<Pruning, 'dir' | 'user'>): Promise<string[]> {
  const names = await readdir(dir)
  for (const name of names.filter(isDoomed)) await removeTree(join(dir, name), user)
  return names.filter(name => !isDoomed(name))
}

function isDoomed(name: string): boolean {
  return name.startsWith(DOOMED)
}

/** Bytes that a cache takes. What cannot be measured in time is taken for too big. */
export async function measureCache(path: string): Promise<number> {
  try {
    return parseSum((await run('du', ['-sk', '--', path], {})).stdout)
  } catch (error) {
    if (!(error instanceof Error) || !('stdout' in error)) throw error
    // Of a cache in use, files may vanish meanwhile: the sum is told nevertheless.
    return 'killed' in error && error.killed === true ? Number.MAX_SAFE_INTEGER : parseSum(String(error.stdout))
  }
}

function parseSum(stdout: string): number {
  return (Number.parseInt(stdout, 10) || 0) * 1024
}

/** As the build user: root removes no tree of another user, who could change it meanwhile. */
async function removeTree(path: string, { uid, gid }: Pruning['user']): Promise<void> {
  if (uid === undefined || gid === undefined) return rm(path, { recursive: true, force: true })
  await chown(path, uid, gid)
  // It fails at the folder itself, which is in one of root's.
  await run('rm', ['-rf', '--', path], { uid, gid }).catch(() => {})
  await rmdir(path)
}

const LIMIT_MS = 300_000

function run(program: string, args: readonly string[], as: { uid?: number; gid?: number }) {
  return promisify(execFile)(program, args, { ...as, env: { PATH: SYSTEM_PATH }, cwd: '/', timeout: LIMIT_MS })
}
