import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FlakeUrl } from './flake-url.ts'
import { createOneByOne } from './one-by-one.ts'

/**
 * Git reads no repository of another user unless it is told to trust it. One that a recipe names has been allowed by a
 * rule of the policy that spells its scheme out; those, and no others, are trusted.
 */
export interface GitTrust {
  /** Does nothing for a flake that is no local repository. */
  trust(flake: FlakeUrl): Promise<void>
}

/** `configHome`: the build user's XDG_CONFIG_HOME, which it cannot write. */
export function createGitTrust(configHome: string): GitTrust {
  const file = join(configHome, 'git/config')
  const trusted = new Set<string>()
  const add = async (path: string) => {
    if (trusted.has(path)) return
    await mkdir(dirname(file), { recursive: true, mode: 0o755 })
    await writeFile(`${file}.new`, formatConfig([...trusted, path]), { mode: 0o644 })
    await rename(`${file}.new`, file)
    trusted.add(path)
  }
  const inTurn = createOneByOne()
  return {
    async trust({ scheme, source }) {
      if (scheme !== 'git+file') return
      const path = decodeURIComponent(new URL(source).pathname)
      // Each writes the whole file.
      await inTurn(() => add(path))
    },
  }
}

/** Old and new versions of git name the folder with the files, or the one with the history. */
function formatConfig(paths: readonly string[]): string {
  const lines = [...paths]
    .flatMap(path => [path, join(path, '.git')])
    .map(path => `\tdirectory = ${JSON.stringify(path)}\n`)
  return `[safe]\n${lines.join('')}`
}
