import * as v from 'valibot'
import { FinalError, RetryableError } from '../../../lib/errors.ts'
import { readOutput } from '../../../lib/process/run-process.ts'
import { isOlder } from '../../../lib/text/versions.ts'
import { isRef, queryOf } from '../../../recipes/flake-query.ts'
import type { FlakeContent, FlakeUrl } from '../../../recipes/flake-url.ts'
import type { FlakeRecipe } from '../../../recipes/recipe.ts'
import { type BuildUser, idsOf } from '../user/build-user.ts'

/** Throws RecipeInvalid if the URL has a key that this version of nix does not know. `version` is empty if unknown. */
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
  /** Only URLs of this scheme need that version. */
  readonly scheme?: string
}

/**
 * Query keys that nix before this version ignores silently, because it takes them for a part of the repository's URL. All other
 * allowed keys are known since 2.8. Source: `inputFromURL` of each version of nix.
 */
const NEEDS: readonly Need[] = [
  { key: 'allRefs', since: '2.15' },
  { key: 'verifyCommit', since: '2.19' },
  { key: 'publicKey', since: '2.19' },
  { key: 'keytype', since: '2.19' },
  { key: 'exportIgnore', since: '2.20' },
  // Earlier versions call ssh without NIX_SSHOPTS, and so with settings and keys that root does not control.
  { key: 'lfs', since: '2.31', scheme: 'git+ssh' },
  { key: 'lfs', since: '2.27' },
]

/** The URL that is passed to nix: branches are spelled out, as is the current branch of a local repository. */
export async function urlForNix(flake: FlakeUrl, user: BuildUser, signal: AbortSignal): Promise<string> {
  const url = await withLocalBranch(flake, user, signal)
  // Nix fetches a branch, but from 2.22 on it looks up a short name in its clone as git does, which prefers a tag of that name.
  return flake.scheme.startsWith('git+') ? url.replace(/([?&]ref=)(?!refs\/|HEAD(?:&|$))/, '$1refs/heads/') : url
}

/**
 * Adds the checked-out branch to the URL of a local repository without a ref: Nix 2.8 would look for "master" in its clone. Git runs
 * as the build user. Its failures are ignored, because nix will report them.
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

/** Git reads a few lines of one file, but the file system may be slow. */
const LIMIT_MS = 30_000

/** Arguments of nix that fetch the URL, even if the store has it, and print the hash of the content. */
export function prefetchArgs({ url }: FlakeContent): string[] {
  // No registry is needed, but nix would download one.
  return ['flake', 'prefetch', '--json', url, '--option', 'flake-registry', '/nonexistent/registry.json']
}

/** Throws FlakeNotFound if the content has another hash. The later evaluation uses content with that hash, fetched or from the store. */
export function checkContent({ flake }: FlakeRecipe, { narHash, url }: FlakeContent, stdout: string): void {
  const hash = readHash(url, stdout)
  if (hash === narHash) return
  throw new FinalError(
    'FlakeNotFound',
    `the content at ${url} has the narHash ${hash}, but ${flake.url} is locked to another one: correct the narHash or the URL`,
  )
}

const answerSchema = v.object({ hash: v.string() })

function readHash(url: string, stdout: string): string {
  try {
    return v.parse(answerSchema, JSON.parse(stdout)).hash
  } catch (cause) {
    throw new RetryableError('BuildInterrupted', `nix gave an unexpected answer about ${url}`, { cause })
  }
}
