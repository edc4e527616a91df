import { execFile } from 'node:child_process'
import { access, constants, realpath, stat } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import type { BuildUser } from './build-user.ts'

/** What an installed nix can do, by its version: asked once, and again when another program stands in its place. */
export interface NixAbilities {
  /** A leading dot of an attribute path means that no prefix is tried. */
  leadingDot(): Promise<boolean>
}

export function createNixAbilities({ command, user }: NixProgram): NixAbilities {
  let known: { readonly program: string; readonly words: Promise<string> } | undefined
  return {
    async leadingDot() {
      const program = await identify(command, user)
      if (program !== known?.program) known = { program, words: askVersion({ command, user }) }
      const asked = known
      const words = await asked.words
      if (words === '' && known === asked) known = undefined
      return hasLeadingDot(words)
    },
  }
}

interface NixProgram {
  /** A name on PATH or an absolute path. */
  readonly command: string
  readonly user: BuildUser
}

/** Since 2.19. Lix counts in its own way, and every nix that has the dot does without it, too. */
export function hasLeadingDot(words: string): boolean {
  const [, major, minor] = / (\d{1,9})\.(\d{1,9})\S*$/.exec(words.trim()) ?? []
  if (major === undefined || words.includes('Lix')) return false
  return Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 19)
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

/** `nix (Nix) 2.8.0`, `nix (Lix, like Nix) 2.91.0`. Empty if it says nothing: whoever runs it next finds out why. */
async function askVersion({ command, user: { uid, gid, env, home } }: NixProgram): Promise<string> {
  const as = uid === undefined || gid === undefined ? {} : { uid, gid }
  const asked = promisify(execFile)(command, ['--version'], { ...as, env, cwd: home, timeout: LIMIT_MS })
  return asked.then(
    ({ stdout }) => stdout,
    () => '',
  )
}
