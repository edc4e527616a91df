import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chown, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type BuildUser, SYSTEM_PATH } from './build-user.ts'

export interface Pruning {
  readonly dir: string
  readonly user: Pick<BuildUser, 'uid' | 'gid'>
  /** What opens and closes caches waits for tasks in here. */
  readonly inTurn: <Result>(task: () => Promise<Result>) => Promise<Result>
  readonly isUsed: (name: string) => boolean
}

const MAX_CACHES = 256
const MAX_AGE_MS = 30 * 24 * 3_600_000
const MAX_TOTAL_BYTES = 16 * 1024 ** 3

/** Removes the caches that were not used for the longest time, as far as there are too many or too big ones. */
export async function pruneCaches({ dir, user, inTurn, isUsed }: Pruning): Promise<void> {
  const caches: Cache[] = []
  for (const name of await readdir(dir)) caches.push(await lookAt(dir, name))
  const isLeft = ({ name }: Cache) => name.startsWith(DOOMED)
  for (const { name } of findExcess(caches.filter(cache => !isLeft(cache)))) {
    const doomed = `${DOOMED}${randomUUID()}`
    const isAside = await inTurn(async () => {
      if (isUsed(name)) return false
      await rename(join(dir, name), join(dir, doomed))
      return true
    })
    if (isAside) await remove(join(dir, doomed), user)
  }
  for (const { name } of caches.filter(isLeft)) await remove(join(dir, name), user)
}

/** What is to be removed has such a name, so that nobody takes it for a cache if that is interrupted. */
const DOOMED = 'doomed-'

interface Cache {
  readonly name: string
  readonly usedAt: number
  readonly bytes: number
}

async function lookAt(dir: string, name: string): Promise<Cache> {
  const path = join(dir, name)
  const { mtimeMs } = await stat(path)
  // Of a cache in use, files may vanish meanwhile.
  const { stdout } = await run('du', ['-sk', '--', path], {}).catch(() => ({ stdout: '0' }))
  return { name, usedAt: mtimeMs, bytes: Number.parseInt(stdout, 10) * 1024 }
}

export function findExcess(caches: readonly Cache[], now = Date.now()): Cache[] {
  let total = 0
  return caches
    .toSorted((a, b) => b.usedAt - a.usedAt)
    .filter(({ bytes, usedAt }, index) => {
      total += bytes
      const isTooMuch = index > 0 && (index >= MAX_CACHES || total > MAX_TOTAL_BYTES)
      return isTooMuch || usedAt < now - MAX_AGE_MS
    })
}

/** As the build user: root removes no tree of another user, who could change it meanwhile. */
async function remove(path: string, { uid, gid }: Pruning['user']): Promise<void> {
  if (uid === undefined || gid === undefined) return rm(path, { recursive: true, force: true })
  await chown(path, uid, gid)
  // It fails at the folder itself, which is in one of root's.
  await run('rm', ['-rf', '--', path], { uid, gid }).catch(() => {})
  await rmdir(path)
}

function run(program: string, args: readonly string[], as: { uid?: number; gid?: number }) {
  return promisify(execFile)(program, args, { ...as, env: { PATH: SYSTEM_PATH }, cwd: '/' })
}
