import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface SourcePattern {
  /** `shim/nix/failure/error-patterns.ts: /…/` */
  readonly name: string
  readonly pattern: RegExp
}

const TOP = join(import.meta.dirname, '../..')

/** A regular expression stands where a value may begin. Elsewhere a slash is a division. */
const LITERAL =
  /(?<=(?:^|[(,=[:?!&|{;]|=>|return)\s*)\/(?![/*])((?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+)\/([dgimsuvy]*)/gm
const COMMENT = /^\s*(?:\/\/|\/?\*).*$/gm

/** Every regular expression in the sources of these folders. */
export async function findPatterns(folders: readonly string[]): Promise<SourcePattern[]> {
  const found = await Promise.all(folders.map(folder => patternsBelow(folder)))
  return found.flat()
}

async function patternsBelow(folder: string): Promise<SourcePattern[]> {
  const files = (await readdir(join(TOP, folder), { recursive: true })).filter(name => name.endsWith('.ts')).sort()
  const found = await Promise.all(
    files.map(async file => {
      const text = (await readFile(join(TOP, folder, file), 'utf8')).replace(COMMENT, '')
      return [...text.matchAll(LITERAL)].map(([, source = '', flags = '']) => {
        const pattern = new RegExp(source, flags)
        return { name: `${folder}/${file}: ${pattern}`, pattern }
      })
    }),
  )
  return found.flat()
}
