import { randomUUID } from 'node:crypto'
import { chown, readdir, rename, rm, rmdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../../../lib/error-code.ts'
import { type ProcessEnd, type ProcessRun, runProcess } from '../../../lib/process/run-process.ts'
import { SYSTEM_PATH } from '../../../lib/process/system-path.ts'
import { findFairExcess, type Holding, type Room } from '../../../lib/queues/fair-excess.ts'
import type { BuildUser } from '../user/build-user.ts'

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

/** Has a cache removed by the next sweep; false when it is in use. */
export function setAside({ dir, inTurn, isUsed }: Pruning, name: string): Promise<boolean> {
  return inTurn(async () => !isUsed(name) && doom(dir, name))
}

/** Nobody else may find that out or change it meanwhile: whether it is in use. */
export async function doom(dir: string, name: string): Promise<true> {
  await rename(join(dir, name), join(dir, `${DOOMED}${randomUUID()}`)).catch(isGone)
  return true
}

/** An administrator was quicker. */
function isGone(error: unknown): void {
  if (!hasCode(error, 'ENOENT')) throw error
}

/** Removes what was set aside, by an earlier shim as well. What cannot be removed is tried again the next time. */
export async function removeDoomed({ dir, user }: Pick<Pruning, 'dir' | 'user'>): Promise<void> {
  const names = (await readdir(dir)).filter(isDoomed)
  const results = await Promise.allSettled(names.map(name => removeTree(join(dir, name), user)))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

/** The names of the caches that there are. */
export async function listCaches(dir: string): Promise<string[]> {
  return (await readdir(dir)).filter(name => !isDoomed(name))
}

function isDoomed(name: string): boolean {
  return name.startsWith(DOOMED)
}

/** Bytes that a cache takes. What cannot be measured in time is taken for too big. */
export async function measureCache(path: string): Promise<number> {
  const { stdout, timedOut } = await run('du', ['-sk', '--', path], { timeoutMs: MEASURE_LIMIT_MS })
  // Of a cache in use, files may vanish meanwhile: the sum is told nevertheless.
  return timedOut ? Number.MAX_SAFE_INTEGER : parseSum(stdout)
}

function parseSum(stdout: string): number {
  return (Number.parseInt(stdout, 10) || 0) * 1024
}

/** As the build user: root removes no tree of another user, who could change it meanwhile. */
async function removeTree(path: string, { uid, gid }: Pruning['user']): Promise<void> {
  if (uid === undefined || gid === undefined) return rm(path, { recursive: true, force: true })
  await chown(path, uid, gid)
  // It fails at the folder itself, which is in one of root's.
  await run('rm', ['-rf', '--', path], { uid, gid, timeoutMs: REMOVE_LIMIT_MS }).catch(() => {})
  await rmdir(path)
}

const MEASURE_LIMIT_MS = 120_000
const REMOVE_LIMIT_MS = 300_000

function run(
  command: string,
  args: readonly string[],
  options: Pick<ProcessRun, 'uid' | 'gid' | 'timeoutMs'>,
): Promise<ProcessEnd> {
  return runProcess({ command, args, ...options, env: { PATH: SYSTEM_PATH }, cwd: '/' })
}
