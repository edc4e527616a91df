import { randomUUID } from 'node:crypto'
import { chmod, chown, lstat, mkdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { hasCode } from '../../../lib/error-code.ts'
import { messageOf, RetryableError, ShimError } from '../../../lib/errors.ts'
import {
  checkOwnFolder,
  type FolderFault,
  findFolderFault,
  isFolderOfOthers,
  makeOwnFolder,
  makeStateDir,
  takeOver,
} from '../../../lib/files/own-files.ts'
import type { BuildUser } from './build-user.ts'

/** The folders of a builder below the state folder. */
export interface StateDir {
  readonly root: string
  /** Owned by the build user: the nix client creates the links. */
  readonly gcroots: string
  /** HOME of nix, git and ssh, with credentials and settings of administrators. Owned by root, readable by the build user. */
  readonly home: string
  /** Config files of git, ssh and nix. Owned by root, readable by the build user. */
  readonly config: string
  /** Fetch caches of nix and git for each source: see source-caches.ts. */
  readonly caches: string
  /** May be elsewhere: see log-folder.ts. */
  readonly logs: string
  readonly results: string
}

/** Paths only: prepareStateDir creates the folders. */
export function foldersOf(root: string, logs = join(root, 'logs')): StateDir {
  return {
    root,
    gcroots: join(root, 'gcroots'),
    home: join(root, 'build-home'),
    config: join(root, 'build-config'),
    caches: join(root, 'caches'),
    logs,
    results: join(root, 'results'),
  }
}

/** Copies of the configured credentials: see credentials.ts. */
export function credentialsFolder(root: string): string {
  return join(root, 'build-credentials')
}

/** The complete output of nix and its builders in a run. */
export function runLogFile(logs: string, runId: string): string {
  return join(logs, `${runId}.log`)
}

type Ids = Pick<BuildUser, 'uid' | 'gid'>

/**
 * Creates missing folders. The build user can reach its own folders, but not list their parent. Throws StateDirUnsafe if other users
 * could change the config of git, ssh or nix, StateDirNotWritable or DiskFull.
 */
export async function prepareStateDir(dir: StateDir, user: Ids, logger?: Pick<Logger, 'warn'>): Promise<void> {
  const { root, gcroots, home, config, caches, logs, results } = dir
  await guardState(root, async () => {
    await makeStateDir(root)
    await checkOwnFolder(await realpath(root))
    const { mode } = await stat(root)
    if (user.uid !== undefined && (mode & WALK_THROUGH) === 0) await chmod(root, (mode & 0o7777) | WALK_THROUGH)
    await makeOwnFolder(results, { mode: 0o750 })
    const logsMade = makeOwnFolder(logs, { mode: 0o750 })
    // Without logs elsewhere, a build continues.
    await (logs === foldersOf(root).logs ? logsMade : logsMade.catch(() => {}))
    await makeOwnFolder(caches, { mode: 0o711 })
    await makeGcroots(gcroots, user)
    if (await isFolderOfOthers(home)) await setAside(home, logger)
    await makeOwnFolder(home, { mode: 0o750, gid: user.gid })
    await makeOwnFolder(config, { mode: 0o755 })
    for (const path of settingsFolders(dir)) await checkOwnFolder(path)
  })
}

/**
 * The folder of Node's compile cache, empty. Node adds files for each version of itself and of our code, and removes none, so a
 * start of the shim does.
 */
export async function emptyCompileCache({ root }: Pick<StateDir, 'root'>): Promise<string> {
  const path = join(root, 'compile-cache')
  await guardState(root, async () => {
    await rm(path, { recursive: true, force: true })
    await makeOwnFolder(path, { mode: 0o700 })
  })
  return path
}

/** Others may pass through the folder, but not list it. */
const WALK_THROUGH = 0o001

/** Git, ssh and nix read their settings from these folders. */
function settingsFolders({ home, config }: StateDir): string[] {
  return [home, join(home, '.ssh'), config, join(config, 'nix')]
}

/** How other users could change the config of git, ssh or nix; undefined if they cannot. */
export async function findStateFault(dir: StateDir): Promise<FolderFault | undefined> {
  for (const path of [await realpath(dir.root), ...settingsFolders(dir)]) {
    const fault = await findFolderFault(path)
    if (fault) return fault
  }
  return undefined
}

async function makeGcroots(path: string, { uid, gid }: Ids): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o755 })
  if ((await lstat(path)).isSymbolicLink()) await checkOwnFolder(path)
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
}

/** Kept for administrators, who may have put credentials there. Other users lose access. */
async function setAside(home: string, logger?: Pick<Logger, 'warn'>): Promise<void> {
  const aside = `${home}-untrusted-${randomUUID()}`
  await rename(home, aside)
  logger?.warn({ home, aside }, 'the home of the build user could be written to by others: it was moved aside')
  await takeOver(aside)
}

/** Runs `write`, which writes below the state folder. Throws StateDirNotWritable, which names the folder, DiskFull, or its own ShimError. */
export async function guardState<Result>(root: string, write: () => Promise<Result>): Promise<Result> {
  try {
    return await write()
  } catch (cause) {
    if (cause instanceof ShimError) throw cause
    if (hasCode(cause, 'ENOSPC', 'EDQUOT'))
      throw new RetryableError('DiskFull', `no space left for the state folder ${root}`, { cause })
    const message = `cannot write to the state folder ${root} of this node: ${messageOf(cause)}`
    throw new RetryableError('StateDirNotWritable', message, { cause })
  }
}
