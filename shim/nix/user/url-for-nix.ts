import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { isRef } from '../../../recipes/flake-query.ts'
import type { FlakeUrl } from '../../../recipes/flake-url.ts'
import { type BuildUser, idsOf } from './build-user.ts'

/** Git reads a few lines of one file, on a file system that may be slow. */
const LIMIT_MS = 30_000

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
  const { stdout } = await promisify(execFile)('git', args, {
    ...idsOf(user),
    env,
    cwd: home,
    signal,
    timeout: LIMIT_MS,
  })
  const [, branch] = /^ref: refs\/heads\/(\S{1,255})\tHEAD$/m.exec(stdout) ?? []
  return branch !== undefined && isRef(branch) ? branch : undefined
}
