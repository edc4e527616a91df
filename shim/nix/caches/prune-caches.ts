import { randomUUID } from 'node:crypto'
import { chown, readdir, rename, rm, rmdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { allSettled } from '../../../lib/async/all-settled.ts'
import { ignoreMissing } from '../../../lib/error-code.ts'
import { type ProcessEnd, type ProcessRun, runProcess, SYSTEM_PATH } from '../../../lib/process/run-process.ts'
import { findFairExcess, type Holding, type Room } from '../../../lib/queues/fair-excess.ts'
import type { BuildUser } from '../user/build-user.ts'

export interface CacheEntry extends Holding {
  readonly name: string
}

export interface Pruning {
  readonly dir: string
  readonly user: Pick<BuildUser, 'uid' | 'gid'>
  /** Runs a task while no cache is opened or closed. */
  readonly inTurn: <Result>(task: () => Promise<Result>) => Promise<Result>
  readonly isUsed: (name: string) => boolean
}

const MAX_CACHES = 512
const MAX_AGE_MS = 30 * 24 * 3_600_000
const MAX_TOTAL_BYTES = 16 * 1024 ** 3
/** Share of the file system. */
const MAX_SHARE = 0.1

/** Limit of all caches together, on the file system of that folder. */
export async function roomForCaches(dir: string): Promise<Room> {
  const { blocks, bsize } = await statfs(dir)
  return { count: MAX_CACHES, bytes: Math.min(MAX_TOTAL_BYTES, Math.floor(blocks * bsize * MAX_SHARE)) }
}

/** Caches that were unused for too long, and those beyond the limit. The namespaces that use the most lose theirs first. */
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

/** Prefix of the name of a discarded cache: if the removal is interrupted, it is not used as a cache. */
const DISCARDED = 'doomed-'

/** Discards a cache, unless it is in use. Returns whether it did. */
export function discardUnused({ dir, inTurn, isUsed }: Pruning, name: string): Promise<boolean> {
  return inTurn(async () => {
    if (isUsed(name)) return false
    await discard(dir, name)
    return true
  })
}

/** Marks a cache for removal by the next sweep. The caller makes sure that it is not in use, and stays so. */
export async function discard(dir: string, name: string): Promise<void> {
  // An administrator may already have removed it.
  await rename(join(dir, name), join(dir, `${DISCARDED}${randomUUID()}`)).catch(ignoreMissing)
}

/** Removes discarded caches, also those of an earlier shim. If one cannot be removed, the next sweep tries again. */
export async function removeDiscarded({ dir, user }: Pick<Pruning, 'dir' | 'user'>): Promise<void> {
  const names = (await readdir(dir)).filter(isDiscarded)
  await allSettled(names.map(name => removeTree(join(dir, name), user)))
}

/** Names of all caches. */
export async function listCaches(dir: string): Promise<string[]> {
  return (await readdir(dir)).filter(name => !isDiscarded(name))
}

function isDiscarded(name: string): boolean {
  return name.startsWith(DISCARDED)
}

/** Size of a cache in bytes. A cache that takes too long to measure counts as too big. */
export async function measureCache(path: string): Promise<number> {
  const { stdout, timedOut } = await run('du', ['-sk', '--', path], { timeoutMs: MEASURE_LIMIT_MS })
  // Files of a cache in use may vanish meanwhile: then `du` fails, but still prints the sum.
  return timedOut ? Number.MAX_SAFE_INTEGER : parseSum(stdout)
}

function parseSum(stdout: string): number {
  return (Number.parseInt(stdout, 10) || 0) * 1024
}

/** Runs as the build user: root never removes a tree that another user could change meanwhile. */
async function removeTree(path: string, { uid, gid }: Pruning['user']): Promise<void> {
  if (uid === undefined || gid === undefined) return rm(path, { recursive: true, force: true })
  await chown(path, uid, gid)
  // This fails for the folder itself, because its parent belongs to root.
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
