import { messageOf } from '../../lib/errors.ts'
import type { Config } from '../config/config.ts'
import { readCredential } from '../nix/user/credential-copy.ts'
import { type Check, type Finding, failed, ok, skipped } from './probes/finding.ts'
import { isRoot } from './probes/processes.ts'

/** Whether the files that the config names as credentials can be read. */
export function checkCredentials({ nix }: Pick<Config, 'nix'>): Check {
  return {
    name: 'credentials',
    look: async () => {
      const files = Object.values(nix.credentials).filter(path => path !== undefined)
      if (files.length === 0) return ok('the config has no credentials')
      return isRoot() ? await judge(files) : skipped('only root can read credentials')
    },
  }
}

async function judge(files: readonly string[]): Promise<Finding> {
  const reasons: string[] = []
  for (const file of files) await readCredential(file).catch(error => reasons.push(messageOf(error)))
  if (reasons.length === 0) return ok(files.join(', '))
  const wayOut = 'create the file, or remove it from nix.credentials; the next build uses it without a restart'
  return failed(`builds run without credentials from the config: ${reasons.join('; ')}`, wayOut)
}
