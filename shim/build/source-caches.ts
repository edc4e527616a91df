import { createHmac, randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { hasCode } from '../error-code.ts'
import type { Room } from '../fair-excess.ts'
import { lazy } from '../lazy.ts'
import { readOwnFile } from '../own-file.ts'
import type { Owners } from '../owners.ts'
import type { BuildUser } from './build-user.ts'
import { openCacheLedger } from './cache-ledger.ts'
import { createOneByOne } from './one-by-one.ts'
import { findExcess, listCaches, measureCache, removeCache, roomForCaches } from './prune-caches.ts'
import { isFlakeRecipe, type Recipe } from './recipe.ts'
import { guardState, type StateDir } from './state-dir.ts'

/**
 * What nix and git remember of each source, apart: nix finds a commit in its cache whichever repository it was fetched
 * from. A cache belongs to the build user while a run of its source needs it, and to root at all other times. Runs of two
 * sources may overlap: then neither knows what the other's folder is called.
 */
export interface SourceCaches {
  /** Runs a task with the user that has the recipe's cache in its environment. It is kept on account of the owners. */
  use<Result>(recipe: Recipe, owners: Owners, task: (user: BuildUser) => Promise<Result>): Promise<Result>
  /** Resolves when all that was used so far is accounted for. */
  settled(): Promise<void>
}

export interface SourceCachesOptions {
  readonly dir: StateDir
  readonly user: BuildUser
  readonly logger: Logger
  /** What all of them may take. */
  readonly room?: (dir: string) => Promise<Room>
  readonly accountAfterMs?: number
}

/** Not at once: whoever used the cache goes on now. */
const ACCOUNT_AFTER_MS = 500

export function createSourceCaches({
  dir: { root, caches: dir },
  user,
  logger,
  room = roomForCaches,
  accountAfterMs = ACCOUNT_AFTER_MS,
}: SourceCachesOptions): SourceCaches {
  const inTurn = createOneByOne()
  const account = createOneByOne()
  const uses = new Map<string, number>()
  const pruning = { dir, user, inTurn, isUsed: (name: string) => uses.has(name) }
  const openLedger = lazy(async () => openCacheLedger(root, dir, await listCaches(pruning)))
  let areClosed = false

  const open = (name: string) =>
    inTurn(async () => {
      if (!areClosed) await closeAll(dir)
      areClosed = true
      const path = join(dir, name)
      await mkdir(path, { recursive: true, mode: 0o700 })
      if (user.uid !== undefined && user.gid !== undefined) await chown(path, user.uid, user.gid)
      uses.set(name, (uses.get(name) ?? 0) + 1)
      return path
    })
  const close = (name: string) =>
    inTurn(async () => {
      const left = (uses.get(name) ?? 1) - 1
      if (left > 0) return void uses.set(name, left)
      uses.delete(name)
      await takeBack(join(dir, name))
    })
  const settle = (name: string, owners: readonly string[]) =>
    account(async () => {
      const ledger = await openLedger()
      ledger.note({ name, owners, bytes: await measureCache(join(dir, name)) })
      for (const excess of findExcess(ledger.entries(), await room(dir)))
        if (await removeCache(pruning, excess.name).catch(isGone)) ledger.forget(excess.name)
      await ledger.save()
    })
  const accounting = new Set<Promise<void>>()
  const settleLater = (name: string, owners: readonly string[]) => {
    const done = delay(accountAfterMs)
      .then(() => settle(name, owners))
      .catch(warn)
      .finally(() => accounting.delete(done))
    accounting.add(done)
  }
  const warn = (err: unknown) => logger.warn({ err }, 'tidying the caches of sources failed')
  return {
    async use(recipe, owners, task) {
      const name = cacheName(recipe, await guardState(root, () => inTurn(() => readSecret(root))))
      const path = await guardState(root, () => open(name))
      try {
        return await task({ ...user, env: { ...user.env, XDG_CACHE_HOME: path } })
      } finally {
        await close(name).catch(warn)
        settleLater(name, owners.current())
      }
    },
    settled: async () => void (await Promise.all(accounting)),
  }
}

/**
 * What a forge serves for a commit nobody checks, and nix takes it for that commit's wherever it comes from: a flake may name as its
 * input another host, and the commit that a later flake of the same repository will have. So each revision is apart. Git checks what
 * it is given, and its clones are worth sharing. A store path comes from binary caches, of which nix remembers what they have.
 */
function cacheName(recipe: Recipe, secret: string): string {
  return createHmac('sha256', secret).update(cacheKey(recipe)).digest('hex')
}

function cacheKey(recipe: Recipe): string {
  if (!isFlakeRecipe(recipe)) return 'store paths'
  const { scheme, source, url } = recipe.flake
  return scheme.startsWith('git+') ? source : withoutFolder(url)
}

/** A folder of a source comes with all of it. */
function withoutFolder(url: string): string {
  const [place = '', query = ''] = url.split('?')
  const others = query.split('&').filter(pair => pair !== '' && !pair.startsWith('dir='))
  return [place, ...others].join('&')
}

const SECRET_BYTES = 32

/** Made once. If it is lost, each source begins a new cache. */
async function readSecret(root: string): Promise<string> {
  const file = join(root, 'caches.key')
  const known = readOwnFile(root, file)
  if (known) return known
  const secret = randomBytes(SECRET_BYTES).toString('hex')
  await rm(file, { force: true })
  await writeFile(file, secret, { mode: 0o600, flag: 'wx' })
  return secret
}

/** A shim that was killed has left them open. */
async function closeAll(dir: string): Promise<void> {
  for (const name of await readdir(dir)) await takeBack(join(dir, name))
}

/** An administrator was quicker. */
function isGone(error: unknown): boolean {
  if (hasCode(error, 'ENOENT')) return true
  throw error
}

async function takeBack(path: string): Promise<void> {
  // Its user may have opened it to everybody, itself among them.
  await chmod(path, 0o700)
  await chown(path, process.getuid?.() ?? 0, process.getgid?.() ?? 0)
}
