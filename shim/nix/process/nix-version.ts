import { access, constants, realpath, stat } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { readOutput } from '../../../lib/process/run-process.ts'
import { isOlder } from '../../../lib/text/versions.ts'
import { type BuildUser, idsOf } from '../user/build-user.ts'

/**
 * Answers with the version of the installed nix, as Nix counts, or nothing if it cannot be read. Nix is asked once, and again
 * when another program stands in its place.
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

/** Whether no prefix is tried before an attribute path that begins with a dot. */
export function hasLeadingDot(version: string): boolean {
  return version !== '' && !isOlder(version, '2.19')
}

interface NixProgram {
  /** A name on PATH or an absolute path. */
  readonly command: string
  readonly user: BuildUser
}

/** `nix (Nix) 2.8.0`, `nix (Determinate Nix 3.11.2) 2.31.1`, `nix (Lix, like Nix) 2.91.0`: that one left Nix at 2.18. */
export function readVersion(words: string): string {
  return words.includes('Lix') ? '2.18' : (/ (\d{1,9}\.\d{1,9}\S*)$/.exec(words.trim())?.[1] ?? '')
}

/** Where the program really is, and since when. Empty if there is none: whoever runs it finds out. */
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

/** Empty if it says nothing: whoever runs it next finds out why. */
async function askVersion({ command, user }: NixProgram): Promise<string> {
  const { env, home } = user
  const asked = readOutput({ command, args: ['--version'], ...idsOf(user), env, cwd: home, timeoutMs: LIMIT_MS })
  return asked.then(readVersion, () => '')
}
