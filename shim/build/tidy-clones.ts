import { execFile } from 'node:child_process'
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { hasCode } from '../error-code.ts'
import { SYSTEM_PATH } from '../system-path.ts'
import { type BuildUser, idsOf } from './build-user.ts'

/**
 * Removes what git and libgit2 leave in the clones of a folder when they are killed: locks, with which each later fetch fails or is
 * left out, and clones that were only half made. False when there is such a clone that nix fetches into at the moment.
 */
export async function tidyClones(folder: string, user: BuildUser): Promise<boolean> {
  const run = createRun(user)
  let isTidy = true
  for (const name of await listUntidy(folder, run)) if (!(await tidyClone(join(folder, name), run))) isTidy = false
  return isTidy
}

type Run = (command: readonly string[]) => Promise<string>

/**
 * As the build user, whose folder it is: its programs may put anything in the place of what was found. One limit for all, so that
 * nobody waits long for a folder that somebody has filled.
 */
function createRun(user: BuildUser): Run {
  const signal = AbortSignal.timeout(LIMIT_MS)
  const options = { ...idsOf(user), env: { ...user.env, PATH: SYSTEM_PATH }, cwd: '/', signal, maxBuffer: MAX_OUTPUT }
  return async ([program = '', ...args]) => (await promisify(execFile)(program, args, options)).stdout
}

const LIMIT_MS = 30_000
const MAX_OUTPUT = 4 * 1024 * 1024

/** Of nix: clones of repositories, and its repository of unpacked tarballs. */
const CLONE = /^(?:[0-9a-z]{52}(?:-shallow)?|tarball-cache(?:-v\d+)?)$/

/** The clones that have locks, or no HEAD, which is made last. */
async function listUntidy(folder: string, run: Run): Promise<string[]> {
  // Where it is a link, the clones are those of another folder.
  if (!(await isFolder(folder))) return []
  const isHead = ['-path', `${literal(folder)}/*/HEAD`, '-not', '-path', `${literal(folder)}/*/*/HEAD`, '-size', '+0']
  const files = [...skipObjects(folder), '-type', 'f', '(', ...isHead, '-o', ...IS_LOCK, ')', '-printf', '%P\n']
  const top = ['-maxdepth', '1', '-mindepth', '1', '-type', 'd', '-printf', '%P\n']
  const names = lines(await run(['find', '-P', folder, ...top])).filter(name => CLONE.test(name))
  const found = lines(await run(['find', '-P', folder, '-mindepth', '2', ...files]))
  const whole = new Set(found.filter(path => path.endsWith('/HEAD')).map(cloneOf))
  const locked = new Set(found.filter(path => !path.endsWith('/HEAD')).map(cloneOf))
  return names.filter(name => locked.has(name) || !whole.has(name))
}

function cloneOf(path: string): string {
  return path.replace(/\/.*$/, '')
}

function lines(text: string): string[] {
  return text.split('\n').filter(line => line !== '')
}

const IS_LOCK = ['(', '-name', '*.lock', '-o', '-name', 'packed-refs.new', ')']

/** Most of the files are there, and no locks. */
function skipObjects(folder: string): string[] {
  return ['-path', `${literal(folder)}/*objects/??`, '-prune', '-o']
}

/** Nobody else fetches into the clone meanwhile, as nix takes the same lock. (Nix 2.8 has it under another name.) */
async function tidyClone(clone: string, run: Run): Promise<boolean> {
  const locks = [`${clone}.lock`, `${clone}.lock.lock`].flatMap(file => ['flock', '-n', '-E', `${IS_BUSY}`, file])
  const isBroken = ['-not', '-exec', 'git', '--git-dir', clone, 'rev-parse', '--git-dir', ';']
  const removeBroken = ['-path', literal(clone), ...isBroken, '-exec', 'rm', '-rf', '--', clone, ';', '-prune', '-o']
  const removeLocks = [...skipObjects(clone), '-type', 'f', ...IS_LOCK, '-exec', 'rm', '-f', '--', '{}', '+']
  try {
    await run([...locks, 'find', '-P', clone, ...removeBroken, ...removeLocks])
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === IS_BUSY) return false
    throw error
  }
}

/** Exit code of flock. */
const IS_BUSY = 75

/** As a pattern of find. */
function literal(path: string): string {
  return path.replace(/[\\*?[\]]/g, '\\$&')
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory()
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}
