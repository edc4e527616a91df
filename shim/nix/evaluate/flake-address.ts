import * as v from 'valibot'
import { FinalError, RetryableError } from '../../../lib/errors.ts'
import { readOutput } from '../../../lib/process/run-process.ts'
import { isOlder } from '../../../lib/text/versions.ts'
import { isRef, queryOf } from '../../../recipes/flake-query.ts'
import type { FlakeContent, FlakeUrl } from '../../../recipes/flake-url.ts'
import type { FlakeRecipe } from '../../../recipes/recipe.ts'
import { type BuildUser, idsOf } from '../user/build-user.ts'

/** Throws RecipeInvalid when the URL has a key that this version of nix does not know. `version`: empty when nobody knows. */
export function checkNixKnows({ scheme, url }: Pick<FlakeUrl, 'scheme' | 'url'>, version: string): void {
  const query = queryOf(url)
  for (const { key, since, ...need } of NEEDS) {
    if (!query.has(key) || (need.scheme ?? scheme) !== scheme || version === '' || !isOlder(version, since)) continue
    throw new FinalError(
      'RecipeInvalid',
      `"${key}" in the flake URL ${url} needs Nix ${since}, and this node has ${version}: upgrade Nix there, or leave the key out`,
    )
  }
}

interface Need {
  readonly key: string
  readonly since: string
  /** The others have it earlier. */
  readonly scheme?: string
}

/**
 * Keys of a query that a nix before this version takes for a part of the repository's URL: it heeds none, and says nothing. What
 * else we allow is known since 2.8. (By nix's own `inputFromURL` of each version.)
 */
const NEEDS: readonly Need[] = [
  { key: 'allRefs', since: '2.15' },
  { key: 'verifyCommit', since: '2.19' },
  { key: 'publicKey', since: '2.19' },
  { key: 'keytype', since: '2.19' },
  { key: 'exportIgnore', since: '2.20' },
  // Before, nix calls ssh for it without NIX_SSHOPTS: by settings and keys that are not root's.
  { key: 'lfs', since: '2.31', scheme: 'git+ssh' },
  { key: 'lfs', since: '2.27' },
]

/** The URL as nix is given it: a branch is named in full, and one of a local repository by its name. */
export async function urlForNix(flake: FlakeUrl, user: BuildUser, signal: AbortSignal): Promise<string> {
  const url = await withLocalBranch(flake, user, signal)
  // Nix 2.22 and newer looks a short name up in its clone as git does, where a tag of that name comes first; it fetches a branch.
  return flake.scheme.startsWith('git+') ? url.replace(/([?&]ref=)(?!refs\/|HEAD(?:&|$))/, '$1refs/heads/') : url
}

/**
 * Of a local repository without a ref, the branch that is checked out is added. Nix 2.8 would look for "master" in its clone.
 * Asked as the build user; what stands in the way of git nix will tell, too.
 */
async function withLocalBranch({ scheme, url }: FlakeUrl, user: BuildUser, signal: AbortSignal): Promise<string> {
  if (scheme !== 'git+file' || /[?&]ref=/.test(url)) return url
  const branch = await readBranch(url.replace(/^git\+/, '').replace(/\?.*$/, ''), user, signal).catch(() => undefined)
  return branch === undefined ? url : `${url}${url.includes('?') ? '&' : '?'}ref=${branch}`
}

async function readBranch(repository: string, user: BuildUser, signal: AbortSignal): Promise<string | undefined> {
  const { env, home } = user
  const args = ['ls-remote', '--symref', '--', repository, 'HEAD']
  const stdout = await readOutput({
    command: 'git',
    args,
    ...idsOf(user),
    env,
    cwd: home,
    signal,
    timeoutMs: LIMIT_MS,
  })
  const [, branch] = /^ref: refs\/heads\/(\S{1,255})\tHEAD$/m.exec(stdout) ?? []
  return branch !== undefined && isRef(branch) ? branch : undefined
}

/** Git reads a few lines of one file, on a file system that may be slow. */
const LIMIT_MS = 30_000

/** Arguments of nix that make it fetch the URL, whatever its store has, and tell the hash of what came. */
export function prefetchArgs({ url }: FlakeContent): string[] {
  // No registry is needed; nix would download one nevertheless.
  return ['flake', 'prefetch', '--json', url, '--option', 'flake-registry', '/nonexistent/registry.json']
}

/**
 * Throws FlakeNotFound when something else was found. What is evaluated later is what has that hash, be it fetched again or
 * found in the store.
 */
export function checkContent({ flake }: FlakeRecipe, { narHash, url }: FlakeContent, stdout: string): void {
  const hash = readHash(url, stdout)
  if (hash === narHash) return
  throw new FinalError(
    'FlakeNotFound',
    `what is at ${url} has the narHash ${hash}, and ${flake.url} is locked to another: correct the narHash, or the URL`,
  )
}

const answerSchema = v.object({ hash: v.string() })

function readHash(url: string, stdout: string): string {
  try {
    return v.parse(answerSchema, JSON.parse(stdout)).hash
  } catch (cause) {
    throw new RetryableError('BuildInterrupted', `nix gave no answer that makes sense about ${url}`, { cause })
  }
}
