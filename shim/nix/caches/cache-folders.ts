import { createHmac, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chown, mkdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../../../lib/error-code.ts'
import { readOwnFile, takeOver } from '../../../lib/files/own-files.ts'
import { queryOf } from '../../../recipes/flake-query.ts'
import { isFlakeRecipe, type Recipe } from '../../../recipes/recipe.ts'
import type { BuildUser } from '../user/build-user.ts'
import { discard, listCaches, type Pruning } from './prune-caches.ts'

/** Folder names of a recipe's cache. */
export interface CacheNames {
  readonly name: string
  /** Folder of the git clones of its source. */
  readonly clones: string | undefined
}

/** All store paths share one cache: nix remembers there what binary caches have. */
export function cacheNames(recipe: Recipe, secret: string): CacheNames {
  const nameOf = (key: string) => createHmac('sha256', secret).update(key).digest('hex')
  if (!isFlakeRecipe(recipe)) return { name: nameOf('store paths'), clones: undefined }
  const { scheme, source, url } = recipe.flake
  return {
    name: nameOf(`flake ${url}`),
    clones: scheme.startsWith('git+') ? nameOf(`clones ${source} ${refsIn(url)}`) : undefined,
  }
}

/** Name of the folder that is used while earlier generations are too old but still in use. */
export function nameOfGeneration(name: string, generation: number): string {
  return generation === 0 ? name : `${name}-${generation}`
}

/** The part of a URL that decides which refs its clone has. */
function refsIn(url: string): string {
  const query = queryOf(url)
  return REF_KEYS.flatMap(key => (query.has(key) ? [`${key}=${query.get(key)}`] : [])).join('&')
}

const REF_KEYS = ['allRefs', 'ref', 'shallow']

const SECRET_BYTES = 32

/** Created once. If it is lost, every source starts a new cache. */
export async function readSecret(root: string): Promise<string> {
  const file = join(root, 'caches.key')
  const known = readOwnFile(root, file)
  if (known) return known
  const secret = randomBytes(SECRET_BYTES).toString('hex')
  await rm(file, { force: true })
  await writeFile(file, secret, { mode: 0o600, flag: 'wx' })
  return secret
}

export function namesIn({ name, clones }: CacheNames): string[] {
  return clones === undefined ? [name] : [name, clones]
}

/** Where clones are in a folder of clones, and in a cache. */
export function foldersWithClones(path: string): string[] {
  return [path, join(path, 'nix'), join(path, 'nix', CLONES)]
}

export async function isOlderThan(ageMs: number, path: string): Promise<boolean> {
  const made = await stat(path).then(
    ({ birthtimeMs }) => birthtimeMs,
    error => {
      if (hasCode(error, 'ENOENT')) return undefined
      throw error
    },
  )
  return made !== undefined && Math.abs(Date.now() - made) >= ageMs
}

/** Creates missing folders and gives them to the build user. */
export async function lendToUser(
  { dir, user }: Pick<Pruning, 'dir'> & { user: BuildUser },
  names: CacheNames,
): Promise<void> {
  const path = join(dir, names.name)
  const clones = names.clones === undefined ? undefined : join(dir, names.clones)
  if (clones !== undefined) {
    await makeFolder(clones)
    await give(clones, user)
  }
  const isNew = await makeFolder(path)
  // Before the build user gets the folder: afterwards that user may replace what is in it.
  if (isNew && clones !== undefined) await linkClones(path, clones, user)
  await give(path, user)
}

/** Returns whether the folder is new. */
async function makeFolder(path: string): Promise<boolean> {
  return (await mkdir(path, { recursive: true, mode: 0o700 })) !== undefined
}

async function give(path: string, { uid, gid }: BuildUser): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
}

/** Nix keeps its clones there since 2.4. */
const CLONES = 'gitv3'

async function linkClones(cache: string, clones: string, user: BuildUser): Promise<void> {
  const folder = join(cache, 'nix')
  await mkdir(folder, { mode: 0o700 })
  await symlink(clones, join(folder, CLONES))
  await give(folder, user)
}

/** Closes what a killed shim left open. Returns the names of all caches: their contents may be incomplete. */
export async function closeAll(dir: string, user: BuildUser): Promise<string[]> {
  const names = await listCaches(dir)
  for (const name of names) {
    const path = join(dir, name)
    const wasOpen = (await stat(path)).uid === user.uid
    await takeOver(path)
    // Nix does not sync its databases: a power loss may damage them. Git syncs its clones.
    if (wasOpen && existsSync(join(path, 'nix'))) await discard(dir, name)
  }
  return names
}
