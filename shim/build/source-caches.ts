import { createHmac, randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { readOwnFile } from '../own-file.ts'
import type { BuildUser } from './build-user.ts'
import { createOneByOne } from './one-by-one.ts'
import { pruneCaches } from './prune-caches.ts'
import { isFlakeRecipe, type Recipe } from './recipe.ts'
import { guardState, type StateDir } from './state-dir.ts'

/**
 * What nix and git remember of each source, apart: nix finds a commit in its cache whichever repository it was fetched
 * from. A cache belongs to the build user while a run of its source needs it, and to root at all other times. Runs of two
 * sources may overlap: then neither knows what the other's folder is called.
 */
export interface SourceCaches {
  /** Runs a task with the user that has the recipe's cache in its environment. */
  use<Result>(recipe: Recipe, task: (user: BuildUser) => Promise<Result>): Promise<Result>
}

export interface SourceCachesOptions {
  readonly dir: StateDir
  readonly user: BuildUser
  readonly logger: Logger
}

/** Between two looks whether there is too much. */
const PRUNE_EVERY_MS = 3_600_000

export function createSourceCaches({ dir: { root, caches: dir }, user, logger }: SourceCachesOptions): SourceCaches {
  const inTurn = createOneByOne()
  const uses = new Map<string, number>()
  let areClosed = false
  let prunedAt = Number.NEGATIVE_INFINITY

  const open = (name: string) =>
    inTurn(async () => {
      if (!areClosed) await closeAll(dir)
      areClosed = true
      const path = join(dir, name)
      await mkdir(path, { recursive: true, mode: 0o700 })
      await utimes(path, new Date(), new Date())
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
  const prune = async () => {
    if (performance.now() < prunedAt + PRUNE_EVERY_MS) return
    prunedAt = performance.now()
    await pruneCaches({ dir, user, inTurn, isUsed: name => uses.has(name) })
  }
  const warn = (err: unknown) => logger.warn({ err }, 'tidying the caches of sources failed')
  return {
    async use(recipe, task) {
      const name = cacheName(recipe, await guardState(root, () => inTurn(() => readSecret(root))))
      const path = await guardState(root, () => open(name))
      try {
        return await task({ ...user, env: { ...user.env, XDG_CACHE_HOME: path } })
      } finally {
        await close(name).catch(warn)
        void prune().catch(warn)
      }
    },
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
  return scheme.startsWith('git+') ? source : url
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

async function takeBack(path: string): Promise<void> {
  // Its user may have opened it to everybody, itself among them.
  await chmod(path, 0o700)
  await chown(path, process.getuid?.() ?? 0, process.getgid?.() ?? 0)
}
