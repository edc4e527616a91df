import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

/** What a unit test never imports, directly or through other files of the tests. */
const NEEDS_MORE = new Set([
  'execa',
  'node:child_process',
  'test/lanes/needs-root.ts',
  'test/setup/go/programs.mjs', // programs that only the set-up builds
])

/**
 * The test files that start no program and need no root: they run anywhere after `npm install`.
 * `top` is the checkout. A file that is listed by mistake fails, because unit tests find no programs (no-privileges.ts).
 */
export function findUnitFiles(top: string): string[] {
  const needsMore = (file: string) => [...modulesBehind(top, file)].some(module => NEEDS_MORE.has(module))
  return globSync('test/**/*.test.ts', { cwd: top })
    .filter(file => !needsMore(file))
    .sort()
}

/** The file, every file below `test/` that it imports, and the packages and files that these import. */
function modulesBehind(top: string, file: string): Set<string> {
  const found = new Set([file])
  for (const module of found) {
    if (!module.startsWith('test/')) continue
    for (const name of importsOf(join(top, module)))
      found.add(name.startsWith('.') ? normalize(join(dirname(module), name)) : name)
  }
  return found
}

/** Imports as Biome formats them. Type imports are gone when the file runs. */
const IMPORT = /^(?:import|export) (?!type\b)(?:[^'"]*? from )?'([^']+)'|\bimport\(\s*'([^']+)'/gm

function importsOf(path: string): string[] {
  return [...readFileSync(path, 'utf8').matchAll(IMPORT)].flatMap(([, name, dynamic]) => name ?? dynamic ?? [])
}
