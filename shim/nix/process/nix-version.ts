import { access, constants, realpath, stat } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { readOutput } from '../../../lib/process/run-process.ts'
import { isOlder } from '../../../lib/text/versions.ts'
import { type BuildUser, idsOf } from '../user/build-user.ts'

/**
 * Returns the version of the installed nix, in Nix's own numbering, or '' if it cannot be read. Runs nix once, and again when the
 * program file changes.
 */
export function createVersionQuery({ command, user }: NixProgram): () => Promise<string> {
  let known: { readonly program: string; readonly version: Promise<string> } | undefined
  return async () => {
    const program = await identify(command, user)
    if (program !== known?.program) known = { program, version: askVersion({ command, user }) }
    const asked = known
    const version = await asked.version
    if (version === '' && known === asked) known = undefined
    return version
  }
}

/** Whether nix understands an attribute path with a leading dot, for which it tries no prefixes. */
export function supportsLeadingDot(version: string): boolean {
  return version !== '' && !isOlder(version, '2.19')
}

interface NixProgram {
  /** A name on PATH or an absolute path. */
  readonly command: string
  readonly user: BuildUser
}

/** `nix (Nix) 2.8.0`, `nix (Determinate Nix 3.11.2) 2.31.1`, `nix (Lix, like Nix) 2.91.0`: Lix was forked from Nix 2.18. */
export function readVersion(words: string): string {
  return words.includes('Lix') ? '2.18' : (/ (\d{1,9}\.\d{1,9}\S*)$/.exec(words.trim())?.[1] ?? '')
}

/** Resolved path and age of the program. Empty if there is none: running it will report that. */
async function identify(command: string, { env }: BuildUser): Promise<string> {
  const folders = isAbsolute(command) ? [''] : (env.PATH ?? '').split(delimiter)
  for (const folder of folders) {
    const path = join(folder, command)
    const found = await describe(path).catch(() => undefined)
    if (found !== undefined) return found
  }
  return ''
}

async function describe(path: string): Promise<string> {
  await access(path, constants.X_OK)
  const { ino, mtimeMs } = await stat(path)
  return `${await realpath(path)} ${ino} ${mtimeMs}`
}

const LIMIT_MS = 30_000

/** Empty if nix fails: the next command will report why. */
async function askVersion({ command, user }: NixProgram): Promise<string> {
  const { env, home } = user
  const asked = readOutput({ command, args: ['--version'], ...idsOf(user), env, cwd: home, timeoutMs: LIMIT_MS })
  return asked.then(readVersion, () => '')
}
