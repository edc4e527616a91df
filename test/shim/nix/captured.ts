import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Standard error of real Nix programs, shortened only by whole lines: `## NAME`, followed by lines. */
export const NIX_VERSIONS = ['2.8.0', '2.26.3', '2.34.8'] as const

export function readCaptured(version: string, name: string): string[] {
  const text = readFileSync(join(import.meta.dirname, 'captured', `${version}.txt`), 'utf8')
  const section = text.split(/^## /m).find(each => each.startsWith(`${name}\n`))
  if (section === undefined) throw new Error(`nothing captured of ${name} with Nix ${version}`)
  return section.split('\n').slice(1, -1)
}
