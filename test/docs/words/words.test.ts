import { readdir } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { findWords, listFiles, proseOf, ROOT, readProjectFile } from './find-words.ts'
import { findSourceFiles } from './source-files.ts'

const PAGES = [...(await readdir(ROOT)).filter(name => name.endsWith('.md')), ...(await listFiles(['docs'], '.md'))]
/** Help texts, descriptions of options and fields, alerts and comments of units, which users read like pages. */
const TEXTS = [
  'shim/program.ts',
  'shim/kubectl/program.ts',
  'shim/commands/recipe-options.ts',
  'controller/program.ts',
  ...(await listFiles(['shim/config'], '.ts')),
  ...(await listFiles(['deploy', 'examples', 'nix', 'nixos-module'], '')),
]

describe('plain words', () => {
  it.each(PAGES)('are used in %s', async page => {
    expect(findWords(proseOf(await readProjectFile(page)))).toEqual([])
  })

  it.each(PAGES)('make titles without questions in %s', async page => {
    const titles = proseOf(await readProjectFile(page)).match(/^#+ .*$/gm) ?? []
    expect(titles.filter(title => title.includes('?'))).toEqual([])
  })

  it.each(TEXTS)('are used in the texts of %s', async file => {
    expect(findWords(await readProjectFile(file))).toEqual([])
  })

  it('are used in all source files', async () => {
    const found = await findSourceFiles()
    expect(found.map(({ path, words }) => [path, ...words].join('\n  '))).toEqual([])
  })
})
