import { access, constants, lstat, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../../lib/errors.ts'
import { findFolderFault } from '../../lib/files/own-files.ts'
import { describeSize } from '../../lib/text/units.ts'
import type { Config } from '../config/config.ts'
import { mountOf, parseMountInfo } from '../import/link/mounts.ts'
import { roomForLogs } from '../nix/log/log-room.ts'
import { foldersOf } from '../nix/user/state-dir.ts'
import { nearestFolder, type Room, roomIn } from './check-disk.ts'
import { type Check, type Finding, ok, skipped, warning } from './probes/finding.ts'
import { findShim, isRoot } from './probes/processes.ts'

/** With less space, the log of one build may not fit. */
const LEAST_BYTES = 64 * 1024 ** 2
/** With a smaller share of inodes, others that write there may soon use the last one. */
const LEAST_FILES = 0.01
const OTHERS = 0o007

/** Whether run logs can be in their folder, and who can read them there. Builds need none of it. */
export function checkLogs({ logDir, stateDir }: Pick<Config, 'logDir' | 'stateDir'>, proc: string): Check {
  const { logs } = foldersOf(stateDir)
  return {
    name: 'log folder',
    look: async () =>
      (await unusable(logDir, { instead: logs, proc })) ?? (await full(logDir)) ?? ok(await describe(logDir)),
  }
}

interface Surroundings {
  /** Where logs are if they cannot be in their folder. */
  readonly instead: string
  readonly proc: string
}

async function unusable(path: string, { instead, proc }: Surroundings): Promise<Finding | undefined> {
  if (!isRoot()) return skipped(`only root can check ${path}`)
  const place = path === instead ? 'there are none' : `logs of builds are in ${instead}`
  try {
    const fault = await findFolderFault(path)
    if (fault) return warning(`${fault.what}: ${place}`, `${fault.wayOut}, or set logDir`)
    const above = await nearestFolder(path)
    await access(above, constants.W_OK)
    if (await isReadOnly(above, proc))
      return warning(
        `the service may not write to ${path}, so ${place}`,
        `restart the service; if that does not help, add the folder above it to ReadWritePaths= of its unit, or set logDir`,
      )
    if (above === path) return readable(path, (await lstat(path)).mode)
  } catch (error) {
    return warning(`${path} cannot be used, so ${place}: ${messageOf(error)}`, `create ${path} as root, or set logDir`)
  }
  return undefined
}

/** Whether the folder is read-only for the shim that runs, which may see other mounts than doctor. */
async function isReadOnly(folder: string, proc: string): Promise<boolean> {
  const shim = await findShim(proc)
  if (!shim) return false
  const real = await realpath(folder)
  // It may have ended meanwhile.
  const mounts = await readFile(join(proc, String(shim.pid), 'mountinfo'), 'utf8').catch(() => '')
  return mountOf(parseMountInfo(mounts), real)?.readOnly === true
}

function readable(path: string, mode: number): Finding | undefined {
  if ((mode & OTHERS) === 0) return undefined
  const octal = (mode & 0o777).toString(8)
  return warning(`every user of this node can open ${path} (mode ${octal})`, `run chmod o-rwx ${path}`)
}

async function full(path: string): Promise<Finding | undefined> {
  const { bytes } = await roomForLogs(await nearestFolder(path))
  return judgeRoom(await roomIn(path), bytes)
}

/** `mostBytes`: what logs may take. */
export function judgeRoom({ folder, bytes, files }: Room, mostBytes: number): Finding | undefined {
  const left = [
    bytes < Math.min(LEAST_BYTES, mostBytes) ? describeSize(bytes) : undefined,
    files < LEAST_FILES ? `${(files * 100).toFixed(1)} % of inodes` : undefined,
  ].filter(part => part !== undefined)
  if (left.length === 0) return undefined
  const wayOut = 'remove what others have written there, or set logDir'
  return warning(`${folder} has only ${left.join(' and ')} left, so logs of builds may have gaps soon`, wayOut)
}

async function describe(path: string): Promise<string> {
  const folder = await nearestFolder(path)
  const { bytes } = await roomForLogs(folder)
  const limit = `logs of builds take at most ${describeSize(bytes)}`
  return folder === path ? `${path}; ${limit}` : `${path} does not exist yet: the shim creates it; ${limit}`
}
