import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../../../lib/error-code.ts'
import { ProcessFailed, readOutput, SYSTEM_PATH } from '../../../lib/process/run-process.ts'
import { type BuildUser, idsOf } from '../user/build-user.ts'

export interface Tidying {
  readonly user: BuildUser
  /** Other runs may have been using the folder since then, in milliseconds since 1970. */
  readonly before: number
  readonly signal: AbortSignal
}

/**
 * Removes what a killed git or libgit2 left in the clones of a folder: locks, which make later fetches fail or be skipped, and
 * incomplete clones. Returns false if another run may be fetching into such a clone.
 */
export async function tidyClones(folder: string, { user, before, signal }: Tidying): Promise<boolean> {
  const run = createRun(user, signal)
  const untidy = await listUntidy(folder, run)
  // Without git, every clone would look incomplete.
  if (untidy.length > 0) await run(['git', '--version'])
  let isTidy = true
  for (const name of untidy) {
    const tidy = CLONE_OF_REPOSITORY.test(name) ? tidyClone : tidyTarballs(before)
    if (!(await tidy(join(folder, name), run))) isTidy = false
  }
  return isTidy
}

type Run = (command: readonly string[]) => Promise<string>

/** Runs as the build user, who owns the folder: programs of that user may replace what was found. */
function createRun(user: BuildUser, signal: AbortSignal): Run {
  // Git is on the PATH of the build user: on NixOS it is in none of the system's folders.
  const env = { ...user.env, PATH: `${user.env.PATH ?? ''}:${SYSTEM_PATH}` }
  const options = { ...idsOf(user), env, cwd: '/', signal, maxStdoutLength: MAX_OUTPUT }
  return ([command = '', ...args]) => readOutput({ command, args, ...options })
}

const MAX_OUTPUT = 4 * 1024 * 1024

/** Names that nix gives to clones, and to its repository of unpacked tarballs. */
const CLONE_OF_REPOSITORY = /^[0-9a-z]{52}(?:-shallow)?$/
const TARBALLS = /^tarball-cache(?:-v\d+)?$/

/** Clones that have locks, or lack HEAD, which git writes last. */
async function listUntidy(folder: string, run: Run): Promise<string[]> {
  // If it is a link, the clones belong to another folder.
  if (!(await isFolder(folder))) return []
  const isHead = ['-path', `${literal(folder)}/*/HEAD`, '-not', '-path', `${literal(folder)}/*/*/HEAD`, '-size', '+0']
  const files = [...skipObjects(folder), '-type', 'f', '(', ...isHead, '-o', ...IS_LOCK, ')', '-printf', '%P\n']
  const top = ['-maxdepth', '1', '-mindepth', '1', '-type', 'd', '-printf', '%P\n']
  const names = lines(await run(['find', '-P', folder, ...top])).filter(
    name => CLONE_OF_REPOSITORY.test(name) || TARBALLS.test(name),
  )
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

/** Most files are below `objects`, and none of them is a lock. */
function skipObjects(folder: string): string[] {
  return ['-path', `${literal(folder)}/*objects/??`, '-prune', '-o']
}

/** Takes the lock that nix takes, so that nobody fetches into the clone meanwhile. (Nix 2.8 uses another name.) */
async function tidyClone(clone: string, run: Run): Promise<boolean> {
  const locks = [`${clone}.lock`, `${clone}.lock.lock`].flatMap(file => ['flock', '-F', '-n', '-E', `${IS_BUSY}`, file])
  try {
    await run([...locks, 'find', '-P', clone, ...removeBroken(clone), ...removeLocks(clone)])
    return true
  } catch (error) {
    if (error instanceof ProcessFailed && error.exitCode === IS_BUSY) return false
    throw error
  }
}

/** Nix takes no lock here. Files that are older than every run that may use them are leftovers. */
function tidyTarballs(before: number): (clone: string, run: Run) => Promise<boolean> {
  return async (clone, run) => {
    const isOld = ['-not', '-newermt', `@${before / 1000}`]
    await run(['find', '-P', clone, ...removeBroken(clone, isOld), ...removeLocks(clone, isOld)])
    if (!(await isFolder(clone))) return true
    const left = await run(['find', '-P', clone, ...skipObjects(clone), '-type', 'f', ...IS_LOCK, '-print', '-quit'])
    return left === ''
  }
}

function removeBroken(clone: string, condition: readonly string[] = []): string[] {
  const isBroken = ['-not', '-exec', 'git', '--git-dir', clone, 'rev-parse', '--git-dir', ';']
  return ['-path', literal(clone), ...condition, ...isBroken, '-exec', 'rm', '-rf', '--', clone, ';', '-prune', '-o']
}

function removeLocks(clone: string, condition: readonly string[] = []): string[] {
  return [...skipObjects(clone), '-type', 'f', ...condition, ...IS_LOCK, '-exec', 'rm', '-f', '--', '{}', '+']
}

/** Exit code of flock. */
const IS_BUSY = 75

/** Escapes a path for use as a pattern of find. */
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
