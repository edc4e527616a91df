import { createHmac, randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
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
import { isFlakeRecipe, isLocked, type Recipe } from './recipe.ts'
import { guardState, type StateDir } from './state-dir.ts'

/**
 * What nix and git remember, apart for each flake URL: nix takes what anybody has served for a commit of any forge for the content
 * of that commit, so that a flake could give others their inputs. Git's clones, of which commits are found by their hashes alone, are
 * shared by all revisions of a source; but refs are believed, so that each URL with a ref has a clone of its own. A cache belongs to the build user while a run needs it, and to root at all other times. Runs of two sources may
 * overlap: then neither knows what the other's folders are called.
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
  /** How long the cache of an unlocked flake is used, in milliseconds. */
  readonly unlockedMs?: number
  readonly accountAfterMs?: number
}

/**
 * As long as nix believes what it was told of a branch (its default tarball-ttl). Who could once write that branch could have the
 * cache know commits that it will have later.
 */
const UNLOCKED_MS = 3_600_000
/** Not at once: whoever used the cache goes on now. */
const ACCOUNT_AFTER_MS = 500

export function createSourceCaches({
  dir: { root, caches: dir },
  user,
  logger,
  room = roomForCaches,
  unlockedMs = UNLOCKED_MS,
  accountAfterMs = ACCOUNT_AFTER_MS,
}: SourceCachesOptions): SourceCaches {
  const inTurn = createOneByOne()
  const account = createOneByOne()
  const uses = new Map<string, number>()
  const pruning = { dir, user, inTurn, isUsed: (name: string) => uses.has(name) }
  const openLedger = lazy(async () => openCacheLedger(root, dir, await listCaches(pruning)))
  let areClosed = false

  const open = ({ name, clones }: CacheNames) =>
    inTurn(async () => {
      if (!areClosed) await closeAll(dir)
      areClosed = true
      const path = join(dir, name)
      const clonesPath = clones === undefined ? undefined : join(dir, clones)
      if (clonesPath !== undefined) {
        await makeFolder(clonesPath)
        await give(clonesPath, user)
      }
      const isNew = await makeFolder(path)
      // While it is root's alone: its user may put anything in the place of what it finds.
      if (isNew && clonesPath !== undefined) await linkClones(path, clonesPath, user)
      await give(path, user)
      for (const used of namesIn({ name, clones })) uses.set(used, (uses.get(used) ?? 0) + 1)
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
  const forgetOld = async (name: string) => {
    const made = await stat(join(dir, name)).then(({ birthtimeMs }) => birthtimeMs, isGone)
    if (typeof made === 'number' && Date.now() - made >= unlockedMs) await removeCache(pruning, name)
  }
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
      const names = cacheNames(recipe, await guardState(root, () => inTurn(() => readSecret(root))))
      const path = await guardState(root, async () => {
        if (!isLocked(recipe)) await forgetOld(names.name)
        return open(names)
      })
      try {
        return await task({ ...user, env: { ...user.env, XDG_CACHE_HOME: path } })
      } finally {
        for (const name of namesIn(names)) {
          await close(name).catch(warn)
          settleLater(name, owners.current())
        }
      }
    },
    settled: async () => void (await Promise.all(accounting)),
  }
}

/** Folders of a recipe's cache. */
interface CacheNames {
  readonly name: string
  /** Where git clones of its source lie. */
  readonly clones: string | undefined
}

function namesIn({ name, clones }: CacheNames): string[] {
  return clones === undefined ? [name] : [name, clones]
}

/** All binary caches are one source: nix remembers what they have. */
function cacheNames(recipe: Recipe, secret: string): CacheNames {
  const nameOf = (key: string) => createHmac('sha256', secret).update(key).digest('hex')
  if (!isFlakeRecipe(recipe)) return { name: nameOf('store paths'), clones: undefined }
  const { scheme, source, url } = recipe.flake
  return {
    name: nameOf(`flake ${url}`),
    clones: scheme.startsWith('git+') ? nameOf(`clones ${source} ${refsIn(url)}`) : undefined,
  }
}

/** What of a URL decides about the refs of its clone. */
function refsIn(url: string): string {
  const query = new URLSearchParams(url.split('?')[1])
  return REF_KEYS.flatMap(key => (query.has(key) ? [`${key}=${query.get(key)}`] : [])).join('&')
}

const REF_KEYS = ['allRefs', 'ref', 'shallow']

/** Returns whether it was not there. */
async function makeFolder(path: string): Promise<boolean> {
  return (await mkdir(path, { recursive: true, mode: 0o700 })) !== undefined
}

async function give(path: string, { uid, gid }: BuildUser): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
}

/** Where nix has its clones, since 2.4. */
const CLONES = 'gitv3'

async function linkClones(cache: string, clones: string, user: BuildUser): Promise<void> {
  const folder = join(cache, 'nix')
  await mkdir(folder, { mode: 0o700 })
  await symlink(clones, join(folder, CLONES))
  await give(folder, user)
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
