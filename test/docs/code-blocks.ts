import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const GUIDES = 'docs/how-to'

/** A fenced block of a page, with the comment above it: `<!-- tested: NAME -->` or `<!-- not tested: REASON -->`. */
export interface CodeBlock {
  /** `PAGE:LINE`, for messages. */
  readonly place: string
  readonly language: string
  readonly text: string
  /** Name of the test that takes it. */
  readonly tested: string | undefined
  /** Why no test does. */
  readonly untested: string | undefined
}

/** The code blocks of all how-to guides. */
export async function readGuides(): Promise<readonly CodeBlock[]> {
  const pages = (await readdir(join(ROOT, GUIDES))).toSorted()
  return (await Promise.all(pages.map(page => readGuide(page)))).flat()
}

/** The code blocks of one how-to guide. */
export async function readGuide(name: string): Promise<readonly CodeBlock[]> {
  const page = `${GUIDES}/${name}`
  return codeBlocks(page, await readFile(join(ROOT, page), 'utf8'))
}

/** The text of blocks of one how-to guide, in the order of their names. */
export async function readTested(guide: string, names: readonly string[]): Promise<string> {
  const blocks = await readGuide(guide)
  const read = (name: string) => {
    const found = blocks.filter(({ tested }) => tested === name)
    if (found.length === 0) throw new Error(`${guide} has no block ${name}`)
    return found.map(({ text }) => text)
  }
  return names.flatMap(read).join('\n')
}

const BLOCK = /^(?:<!-- (not tested|tested): ([^>]+) -->\n)?( *)```(\w*)\n([\s\S]*?)^ *```$/gm

export function codeBlocks(page: string, markdown: string): readonly CodeBlock[] {
  return [...markdown.matchAll(BLOCK)].map(
    ({ index, 1: mark, 2: note, 3: indent = '', 4: language = '', 5: text = '' }) => ({
      place: `${page}:${markdown.slice(0, index).split('\n').length}`,
      language,
      text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
      tested: mark === 'tested' ? note : undefined,
      untested: mark === 'not tested' ? note : undefined,
    }),
  )
}
