import { execFile } from 'node:child_process'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { hasCode } from '../error-code.ts'
import { SYSTEM_PATH } from '../system-path.ts'
import { type BuildUser, idsOf } from './build-user.ts'

/**
 * Removes what git and libgit2 leave in the clones of a folder when they are killed: locks, with which each later fetch fails or is
 * left out, and clones that were only half made. False when there is a clone that nix fetches into at the moment.
 */
export async function tidyClones(folder: string, user: BuildUser): Promise<boolean> {
  const names = await listFolder(folder)
  const signal = AbortSignal.timeout(LIMIT_MS)
  let isTidy = true
  for (const name of names.filter(isClone)) if (!(await tidyClone(join(folder, name), user, signal))) isTidy = false
  return isTidy
}

const LIMIT_MS = 60_000

/** Of nix: clones of repositories, and its repository of unpacked tarballs. */
function isClone(name: string): boolean {
  return /^(?:[0-9a-z]{52}(?:-shallow)?|tarball-cache(?:-v\d+)?)$/.test(name)
}

/**
 * As the build user, whose folder it is: its programs may put anything in the place of what was found. Nobody else fetches into the
 * clone meanwhile, as nix takes the same lock. (Until 2.15 it has another name.)
 */
async function tidyClone(clone: string, user: BuildUser, signal: AbortSignal): Promise<boolean> {
  const locks = [`${clone}.lock`, `${clone}.lock.lock`].flatMap(file => ['flock', '-n', '-E', `${IS_BUSY}`, file])
  const [program = '', ...args] = [...locks, 'find', '-P', clone, ...removeBroken(clone), '-o', ...removeLocks(clone)]
  const env = { ...user.env, PATH: SYSTEM_PATH }
  try {
    await promisify(execFile)(program, args, { ...idsOf(user), env, cwd: '/', signal })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === IS_BUSY) return false
    throw error
  }
}

/** Exit code of flock. */
const IS_BUSY = 75

function removeBroken(clone: string): string[] {
  const isBroken = ['-not', '-exec', 'git', '--git-dir', clone, 'rev-parse', '--git-dir', ';']
  return ['(', '-path', clone, ...isBroken, '-exec', 'rm', '-rf', '--', clone, ';', '-prune', ')']
}

function removeLocks(clone: string): string[] {
  // Most of the files are there, and no locks.
  const objects = ['-path', `${clone}/objects/??`, '-prune']
  const isLock = ['-type', 'f', '(', '-name', '*.lock', '-o', '-name', 'packed-refs.new', ')']
  return [...objects, '-o', ...isLock, '-exec', 'rm', '-f', '--', '{}', '+']
}

/** Where it is a link, the clones are those of another folder. */
async function listFolder(path: string): Promise<string[]> {
  try {
    return (await lstat(path)).isDirectory() ? await readdir(path) : []
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}
