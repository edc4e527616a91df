import { randomUUID } from 'node:crypto'
import { chmod, chown, mkdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../error-code.ts'
import { messageOf, RetryableError } from '../errors.ts'
import { makeStateDir } from '../make-state-dir.ts'
import type { BuildUser } from './build-user.ts'

/** The folders of a builder below the state folder. */
export interface StateDir {
  readonly root: string
  /** The build user's: nix's client makes the links itself. */
  readonly gcroots: string
  /** HOME of nix, git and ssh: credentials and settings that administrators put there. Root's, the build user reads it. */
  readonly home: string
  /** What git, ssh and nix are told beyond their arguments; root's, the build user reads it. */
  readonly config: string
  /** What nix and git remember of each source: see source-caches.ts. */
  readonly caches: string
  readonly logs: string
  readonly results: string
}

export function layOut(root: string): StateDir {
  return {
    root,
    gcroots: join(root, 'gcroots'),
    home: join(root, 'build-home'),
    config: join(root, 'build-config'),
    caches: join(root, 'caches'),
    logs: join(root, 'logs'),
    results: join(root, 'results'),
  }
}

/** Of a run: all that nix and its builders wrote. */
export function runLogFile(root: string, runId: string): string {
  return join(layOut(root).logs, `${runId}.log`)
}

type Ids = Pick<BuildUser, 'uid' | 'gid'>

/** Makes what is missing. The build user must be able to walk through to its folders, and no further. */
export async function prepareStateDir(
  { root, gcroots, home, config, caches, logs, results }: StateDir,
  user: Ids,
): Promise<void> {
  await guardState(root, async () => {
    await makeStateDir(root)
    const { mode } = await stat(root)
    if (user.uid !== undefined && (mode & WALK_THROUGH) === 0) await chmod(root, (mode & 0o7777) | WALK_THROUGH)
    for (const path of [logs, results]) await mkdir(path, { recursive: true, mode: 0o750 })
    await mkdir(config, { recursive: true, mode: 0o755 })
    await mkdir(caches, { recursive: true, mode: 0o711 })
    await mkdir(gcroots, { recursive: true, mode: 0o755 })
    if (user.uid !== undefined && user.gid !== undefined) await chown(gcroots, user.uid, user.gid)
    await prepareHome(home, user)
  })
}

/** Others may pass, but not look around. */
const WALK_THROUGH = 0o001

/** What git and ssh find in it they obey: it is used only if no program of the build user's can have written there. */
async function prepareHome(home: string, { gid }: Ids): Promise<void> {
  if (await isForeign(home)) await setAside(home)
  await mkdir(home, { recursive: true, mode: 0o750 })
  if (gid !== undefined) await chown(home, process.getuid?.() ?? 0, gid)
}

async function isForeign(path: string): Promise<boolean> {
  try {
    const { uid, mode } = await stat(path)
    return uid !== process.getuid?.() || (mode & 0o022) !== 0
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}

/** Kept for administrators, who may have put credentials there; nobody else gets to see them. */
async function setAside(home: string): Promise<void> {
  const aside = `${home}-untrusted-${randomUUID()}`
  await rename(home, aside)
  await chown(aside, process.getuid?.() ?? 0, process.getgid?.() ?? 0)
  await chmod(aside, 0o700)
}

/** Runs something that writes below the state folder. Throws StateDirNotWritable, which names the folder, or DiskFull. */
export async function guardState<Result>(root: string, write: () => Promise<Result>): Promise<Result> {
  try {
    return await write()
  } catch (cause) {
    if (hasCode(cause, 'ENOSPC', 'EDQUOT'))
      throw new RetryableError('DiskFull', `no space left for the state folder ${root}`, { cause })
    const message = `cannot write to the state folder ${root} of this node: ${messageOf(cause)}`
    throw new RetryableError('StateDirNotWritable', message, { cause })
  }
}
