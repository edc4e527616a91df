import { execFile } from 'node:child_process'
import { access, constants, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { hasCode } from '../../lib/error-code.ts'
import { messageOf } from '../../lib/errors.ts'
import { describeSize } from '../../lib/text/units.ts'
import type { Config } from '../config/config.ts'
import { readCacheLedger } from '../nix/caches/cache-accounts.ts'
import { roomForCaches } from '../nix/caches/prune-caches.ts'
import { resolveBuildUser } from '../nix/user/build-user.ts'
import { findStateFault, foldersOf } from '../nix/user/state-dir.ts'
import { nearestFolder } from './check-disk.ts'
import { type Check, type Finding, failed, ok, skipped } from './probes/finding.ts'
import { isRoot } from './probes/processes.ts'

/**
 * Whether the state folder exists, only the shim can write to it, and the build user can reach its own folders in it.
 */
export function checkState({ stateDir, nix }: Pick<Config, 'stateDir' | 'nix'>): Check {
  return {
    name: 'state folder',
    look: async () =>
      (await unusable(stateDir)) ??
      (await unsafe(stateDir)) ??
      (await unreachable(stateDir, nix.user)) ??
      ok(await describe(stateDir)),
  }
}

/** Adds the size of source clones, as the shim measured it. */
async function describe(stateDir: string): Promise<string> {
  const clones = readCacheLedger(stateDir)
  if (clones.length === 0) return stateDir
  const bytes = clones.reduce((sum, clone) => sum + clone.bytes, 0)
  const room = await roomForCaches(stateDir)
  return `${stateDir}; clones of sources take ${describeSize(bytes)} of at most ${describeSize(room.bytes)}`
}

async function unusable(path: string): Promise<Finding | undefined> {
  try {
    if (!(await stat(path)).isDirectory()) return failed(`${path} is not a folder`, 'remove it, or set stateDir')
    await access(path, constants.W_OK)
    return undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return judgeMissing(path)
    if (!isRoot()) return skipped(`this user may not open ${path}: run doctor as root`)
    return failed(
      `${path} cannot be used: ${messageOf(error)}`,
      'run the shim as root, with a folder that root owns on a writable file system',
    )
  }
}

/** The shim refuses builds then. */
async function unsafe(stateDir: string): Promise<Finding | undefined> {
  const fault = isRoot() ? await findStateFault(foldersOf(stateDir)) : undefined
  return fault && failed(fault.what, fault.wayOut)
}

async function judgeMissing(path: string): Promise<Finding> {
  const above = await nearestFolder(path)
  const isWritable = await access(above, constants.W_OK).then(
    () => true,
    () => false,
  )
  if (isWritable) return ok(`${path} does not exist yet: the first build creates it`)
  if (!isRoot()) return skipped(`${path} does not exist yet, and only root can check whether it can be created`)
  return failed(
    `${path} does not exist and cannot be created: ${above} is not writable`,
    'set stateDir, or create the folder',
  )
}

/** Tried as that user, because more than the mode may decide. */
async function unreachable(stateDir: string, user: string | null): Promise<Finding | undefined> {
  if (user === null || !isRoot()) return undefined
  // Another check reports a missing user.
  const found = await resolveBuildUser({ name: user, home: '/', configHome: '/', env: {} }).catch(() => undefined)
  const { uid, gid } = found ?? {}
  if (uid === undefined || gid === undefined) return undefined
  const as = { uid, gid, cwd: '/', env: { PATH: process.env.PATH } }
  try {
    await promisify(execFile)('sh', ['-c', 'cd -- "$1"', 'sh', stateDir], as)
    return undefined
  } catch {
    const wayOut = `chmod o+x ${stateDir} and the folders above it, or set stateDir`
    return failed(`${user} cannot reach its own folders in ${stateDir}`, wayOut)
  }
}
