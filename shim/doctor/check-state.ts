import { access, constants, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Config } from '../config.ts'
import { hasCode } from '../error-code.ts'
import { messageOf } from '../errors.ts'
import { type Check, type Finding, failed, ok, warning } from './finding.ts'

/** Whether the state folder is there, can be written to, and whether the build user reaches its own folders in it. */
export function checkState({ stateDir, nix }: Pick<Config, 'stateDir' | 'nix'>): Check {
  return {
    name: 'state folder',
    look: async () => (await unusable(stateDir)) ?? (await unreachable(stateDir, nix.user)) ?? ok(stateDir),
  }
}

async function unusable(path: string): Promise<Finding | undefined> {
  try {
    if (!(await stat(path)).isDirectory()) return failed(`${path} is no folder`, 'remove it, or set stateDir')
    await access(path, constants.W_OK)
    return undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT'))
      return warning(
        `${path} is not there yet`,
        'the shim makes it when it starts; set stateDir if it is to be another',
      )
    return failed(
      `${path} cannot be used: ${messageOf(error)}`,
      'run it as root; give root the folder, on a file system that can be written to',
    )
  }
}

const ANY_SEARCH = 0o001

/** The folder's own mode is the shim's to mend. */
async function unreachable(stateDir: string, user: string | null): Promise<Finding | undefined> {
  if (user === null || process.getuid?.() !== 0) return undefined
  for (let folder = dirname(stateDir); folder !== '/'; folder = dirname(folder)) {
    const { mode } = await stat(folder)
    if ((mode & ANY_SEARCH) === 0)
      return failed(`${user} cannot reach its home below ${folder}`, `chmod o+x ${folder}, or set stateDir`)
  }
  return undefined
}
