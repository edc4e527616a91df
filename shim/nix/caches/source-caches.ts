import { join } from 'node:path'
import type { Logger } from 'pino'
import { createOneByOne } from '../../../lib/async/one-by-one.ts'
import { takeOver } from '../../../lib/files/own-files.ts'
import type { Room } from '../../../lib/queues/fair-excess.ts'
import type { Owners } from '../../../lib/queues/fair-order.ts'
import { isLocked, type Recipe } from '../../../recipes/recipe.ts'
import type { BuildUser } from '../user/build-user.ts'
import { guardState, type StateDir } from '../user/state-dir.ts'
import { createCacheAccounts } from './cache-accounts.ts'
import {
  cacheNames,
  closeAll,
  foldersWithClones,
  isOlderThan,
  lendToUser,
  nameOfGeneration,
  namesIn,
  readSecret,
} from './cache-folders.ts'
import { discard, roomForCaches } from './prune-caches.ts'
import { tidyClones } from './tidy-clones.ts'

/**
 * Fetch caches of nix and git, one for each flake URL. With a shared cache, a flake could choose the inputs of others: nix trusts what
 * any server once returned for a commit. Git finds commits by hash, so all revisions of a source share a clone; refs are trusted, so
 * each URL with a ref has its own clone. A cache belongs to the build user while a run uses it, and to root otherwise. Concurrent runs
 * cannot guess each other's folder names. Before the next run, clones are cleaned of what a failed or killed run left.
 */
export interface SourceCaches {
  /** Runs a task with a user whose environment names the recipe's cache. The cache counts for the owners. */
  use<Result>(recipe: Recipe, owners: Owners, task: (user: BuildUser) => Promise<Result>): Promise<Result>
  /** Resolves when everything used so far has been measured. */
  settled(): Promise<void>
}

export interface SourceCachesOptions {
  readonly dir: StateDir
  readonly user: BuildUser
  readonly logger: Logger
  /** Limit of all caches together. */
  readonly room?: (dir: string) => Promise<Room>
  /** Lifetime of the cache of an unlocked flake, in milliseconds. */
  readonly unlockedMs?: number
  readonly accountAfterMs?: number
}

/**
 * As long as nix uses a known answer about a branch (its default tarball-ttl). A user who was once able to write that branch may
 * have put later commits into the cache.
 */
const UNLOCKED_MS = 3_600_000
const ACCOUNT_AFTER_MS = 500
/** Limit for cleaning, so that a folder that somebody filled does not delay others for long. */
const TIDY_LIMIT_MS = 30_000

export function createSourceCaches({
  dir: { root, caches: dir },
  user,
  logger,
  room = roomForCaches,
  unlockedMs = UNLOCKED_MS,
  accountAfterMs = ACCOUNT_AFTER_MS,
}: SourceCachesOptions): SourceCaches {
  const inTurn = createOneByOne()
  const uses = new Map<string, Use>()
  const untidy = new Set<string>()
  const warn = (err: unknown) => logger.warn({ err }, 'tidying the caches of sources failed')
  const pruning = { dir, user, inTurn, isUsed: (name: string) => uses.has(name) }
  const accounts = createCacheAccounts({ root, pruning, room, afterMs: accountAfterMs, warn })
  let areClosed = false

  const open = async (recipe: Recipe) => {
    const wanted = cacheNames(recipe, await inTurn(() => readSecret(root)))
    return inTurn(async () => {
      if (!areClosed) for (const left of await closeAll(dir, user)) untidy.add(left)
      areClosed = true
      const name = isLocked(recipe) ? wanted.name : await findYoung(wanted.name)
      const names = namesIn({ ...wanted, name })
      try {
        await lendToUser({ dir, user }, { ...wanted, name })
      } catch (error) {
        for (const lent of names) if (!uses.has(lent)) await takeOver(join(dir, lent)).catch(() => {})
        throw error
      }
      for (const used of names) {
        const { runs, since } = uses.get(used) ?? { runs: 0, since: Date.now() }
        uses.set(used, { runs: runs + 1, since })
      }
      return names
    })
  }
  /** A cache that is too old is removed; if it is in use, a new one is started. */
  const findYoung = async (name: string) => {
    for (let generation = 0; ; generation += 1) {
      const candidate = nameOfGeneration(name, generation)
      if (!(await isOlderThan(unlockedMs, join(dir, candidate)))) return candidate
      if (uses.has(candidate)) continue
      await discard(dir, candidate)
      return candidate
    }
  }
  const close = (name: string) =>
    inTurn(async () => {
      const { runs, since } = uses.get(name) ?? { runs: 1, since: 0 }
      if (runs > 1) return void uses.set(name, { runs: runs - 1, since })
      uses.delete(name)
      await takeOver(join(dir, name))
    })
  const tidy = async (names: readonly string[]) => {
    const signal = AbortSignal.timeout(TIDY_LIMIT_MS)
    for (const name of names.filter(name => untidy.has(name))) {
      // Before cleaning: another run may fail meanwhile.
      untidy.delete(name)
      const before = uses.get(name)?.since ?? 0
      try {
        for (const folder of foldersWithClones(join(dir, name)))
          if (!(await tidyClones(folder, { user, before, signal }))) untidy.add(name)
      } catch (error) {
        untidy.add(name)
        warn(error)
      }
    }
  }
  return {
    async use(recipe, owners, task) {
      const names = await guardState(root, () => open(recipe))
      const [name = ''] = names
      try {
        await tidy(names)
        return await task({ ...user, env: { ...user.env, XDG_CACHE_HOME: join(dir, name) } })
      } catch (error) {
        // Git may have been killed, or may have found what a killed git left.
        for (const used of names) untidy.add(used)
        throw error
      } finally {
        await tidy(names)
        for (const used of names) {
          await close(used).catch(warn)
          accounts.note(used, owners.current())
        }
      }
    },
    settled: accounts.settled,
  }
}

interface Use {
  readonly runs: number
  /** Start of the current use, in milliseconds since 1970. */
  readonly since: number
}
