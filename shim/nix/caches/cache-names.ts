import { createHmac, randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readOwnFile } from '../../../lib/files/own-file.ts'
import { queryOf } from '../../../recipes/flake-query.ts'
import { isFlakeRecipe, type Recipe } from '../../../recipes/recipe.ts'

/** Folders of a recipe's cache. */
export interface CacheNames {
  readonly name: string
  /** Where git clones of its source lie. */
  readonly clones: string | undefined
}

/** All binary caches are one source: nix remembers what they have. */
export function cacheNames(recipe: Recipe, secret: string): CacheNames {
  const nameOf = (key: string) => createHmac('sha256', secret).update(key).digest('hex')
  if (!isFlakeRecipe(recipe)) return { name: nameOf('store paths'), clones: undefined }
  const { scheme, source, url } = recipe.flake
  return {
    name: nameOf(`flake ${url}`),
    clones: scheme.startsWith('git+') ? nameOf(`clones ${source} ${refsIn(url)}`) : undefined,
  }
}

/** The folder that is used while those before it are too old, and in use. */
export function nameOfGeneration(name: string, generation: number): string {
  return generation === 0 ? name : `${name}-${generation}`
}

/** What of a URL decides about the refs of its clone. */
function refsIn(url: string): string {
  const query = queryOf(url)
  return REF_KEYS.flatMap(key => (query.has(key) ? [`${key}=${query.get(key)}`] : [])).join('&')
}

const REF_KEYS = ['allRefs', 'ref', 'shallow']

const SECRET_BYTES = 32

/** Made once. If it is lost, each source begins a new cache. */
export async function readSecret(root: string): Promise<string> {
  const file = join(root, 'caches.key')
  const known = readOwnFile(root, file)
  if (known) return known
  const secret = randomBytes(SECRET_BYTES).toString('hex')
  await rm(file, { force: true })
  await writeFile(file, secret, { mode: 0o600, flag: 'wx' })
  return secret
}
