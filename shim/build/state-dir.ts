import { chmod, chown, mkdir, stat } from 'node:fs/promises'
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
  /** The build user's: caches of nix and git. */
  readonly home: string
  /** What git and nix are told beyond their arguments; ours, the build user reads it. */
  readonly config: string
  readonly logs: string
  readonly results: string
}

export function layOut(root: string): StateDir {
  return {
    root,
    gcroots: join(root, 'gcroots'),
    home: join(root, 'build-home'),
    config: join(root, 'build-config'),
    logs: join(root, 'logs'),
    results: join(root, 'results'),
  }
}

/** Makes what is missing. The build user must be able to walk through to its folders, and no further. */
export async function prepareStateDir(
  { root, gcroots, home, config, logs, results }: StateDir,
  user: BuildUser,
): Promise<void> {
  await guardState(root, async () => {
    await makeStateDir(root)
    const { mode } = await stat(root)
    if (user.uid !== undefined && (mode & WALK_THROUGH) === 0) await chmod(root, (mode & 0o7777) | WALK_THROUGH)
    for (const path of [logs, results]) await mkdir(path, { recursive: true, mode: 0o750 })
    await mkdir(config, { recursive: true, mode: 0o755 })
    for (const path of [gcroots, home]) {
      await mkdir(path, { recursive: true, mode: 0o755 })
      if (user.uid !== undefined && user.gid !== undefined) await chown(path, user.uid, user.gid)
    }
  })
}

/** Others may pass, but not look around. */
const WALK_THROUGH = 0o001

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
