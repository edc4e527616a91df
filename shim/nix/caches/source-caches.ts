import { join } from 'node:path'
import type { Logger } from 'pino'
import { createOneByOne } from '../../../lib/async/one-by-one.ts'
import { takeOver } from '../../../lib/files/own-folder.ts'
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
  lendOut,
  nameOfGeneration,
  namesIn,
  readSecret,
} from './cache-folders.ts'
import { doom, roomForCaches } from './prune-caches.ts'
import { tidyClones } from './tidy-clones.ts'

/**
 * What nix and git remember, apart for each flake URL: nix takes what anybody has served for a commit of any forge for the content
 * of that commit, so that a flake could give others their inputs. Git's clones, of which commits are found by their hashes alone, are
 * shared by all revisions of a source; but refs are believed, so that each URL with a ref has a clone of its own. A cache belongs to
 * the build user while a run needs it, and to root at all other times. Runs of two sources may overlap: then neither knows what the
 * other's folders are called. What a run that failed or was killed has left in a clone is tidied before the next one.
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
const ACCOUNT_AFTER_MS = 500
/** For all that a run may have left, so that nobody waits long for a folder that somebody has filled. */
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
        await lendOut({ dir, user }, { ...wanted, name })
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
  /** What is too old goes, unless it is in use: then another one is begun. */
  const findYoung = async (name: string) => {
    for (let generation = 0; ; generation += 1) {
      const candidate = nameOfGeneration(name, generation)
      if (!(await isOlderThan(unlockedMs, join(dir, candidate)))) return candidate
      if (!uses.has(candidate) && (await doom(dir, candidate))) return candidate
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
      // First: another run may fail meanwhile.
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
        // Git may have been killed, or have found what a killed one left.
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
  /** Before then nobody used it, in milliseconds since 1970. */
  readonly since: number
}
