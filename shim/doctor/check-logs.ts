import { access, constants, lstat } from 'node:fs/promises'
import { messageOf } from '../../lib/errors.ts'
import { findFolderFault } from '../../lib/files/own-files.ts'
import { describeSize } from '../../lib/text/units.ts'
import type { Config } from '../config/config.ts'
import { roomForLogs } from '../nix/log/log-room.ts'
import { foldersOf } from '../nix/user/state-dir.ts'
import { nearestFolder, roomIn } from './check-disk.ts'
import { type Check, type Finding, ok, skipped, warning } from './probes/finding.ts'
import { isRoot } from './probes/processes.ts'

/** With less space, the log of one build may not fit. */
const LEAST_BYTES = 64 * 1024 ** 2
const OTHERS = 0o007

/** Whether run logs can be in their folder, and who can read them there. Builds need none of it. */
export function checkLogs({ logDir, stateDir }: Pick<Config, 'logDir' | 'stateDir'>): Check {
  const { logs } = foldersOf(stateDir)
  return {
    name: 'log folder',
    look: async () => (await unusable(logDir, logs)) ?? (await full(logDir)) ?? ok(await describe(logDir)),
  }
}

async function unusable(path: string, instead: string): Promise<Finding | undefined> {
  if (!isRoot()) return skipped(`only root can check ${path}`)
  const place = path === instead ? 'there are none' : `logs of builds are in ${instead}`
  try {
    const fault = await findFolderFault(path)
    if (fault) return warning(`${fault.what}: ${place}`, `${fault.wayOut}, or set logDir`)
    const above = await nearestFolder(path)
    if (above !== path) await access(above, constants.W_OK)
    else return readable(path, (await lstat(path)).mode)
  } catch (error) {
    return warning(`${path} cannot be used, so ${place}: ${messageOf(error)}`, `create ${path} as root, or set logDir`)
  }
  return undefined
}

function readable(path: string, mode: number): Finding | undefined {
  if ((mode & OTHERS) === 0) return undefined
  const octal = (mode & 0o777).toString(8)
  return warning(`every user of this node can open ${path} (mode ${octal})`, `run chmod o-rwx ${path}`)
}

async function full(path: string): Promise<Finding | undefined> {
  const { bytes } = await roomIn(path)
  const room = await roomForLogs(await nearestFolder(path))
  if (bytes >= Math.min(LEAST_BYTES, room.bytes)) return undefined
  const wayOut = 'remove what others have written there, or set logDir'
  return warning(`${path} has only ${describeSize(bytes)} left, so logs of builds will have gaps`, wayOut)
}

async function describe(path: string): Promise<string> {
  const folder = await nearestFolder(path)
  const { bytes } = await roomForLogs(folder)
  const limit = `logs of builds take at most ${describeSize(bytes)}`
  return folder === path ? `${path}; ${limit}` : `${path} does not exist yet: the shim creates it; ${limit}`
}
