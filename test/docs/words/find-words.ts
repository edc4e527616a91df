import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { WORDS } from './words.ts'

export const ROOT = join(import.meta.dirname, '../../..')

/** Each use of a word that the prose does without, as `line: phrase → instead`. */
export function findWords(text: string): string[] {
  return text.split('\n').flatMap((line, index) =>
    WORDS.flatMap(([pattern, instead]) => {
      const found = new RegExp(pattern, 'i').exec(line)
      return found ? [`line ${index + 1}: "${found[0]}" → ${instead}`] : []
    }),
  )
}

/** Without blocks of code, which may show what a program prints. */
export function proseOf(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```/gm, block => block.replaceAll(/[^\n]/g, ''))
}

/** Files below folders of the project, by their paths from its root. An empty extension stands for any. */
export async function listFiles(folders: readonly string[], extension: string): Promise<string[]> {
  const lists = await Promise.all(
    folders.map(async folder => {
      const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })
      return entries
        .filter(entry => entry.isFile() && entry.name.endsWith(extension))
        .map(entry => relative(ROOT, join(entry.parentPath, entry.name)))
    }),
  )
  return lists.flat().toSorted()
}

export function readProjectFile(path: string): Promise<string> {
  return readFile(join(ROOT, path), 'utf8')
}
