import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
/** A page may name a path from one of these folders, if the text around it says which. */
const BASES = [
  '',
  'shim',
  'controller',
  'shim/import',
  'shim/nix',
  'shim/doctor',
  'shim/metrics',
  'lib',
  'test',
  'test/shim/doctor',
]
/** Made by the set-up, or by the reader. */
const ABSENT = new Set(['node_modules/', 'shim/doctor/check-NAME.ts', 'shim/import/formats/NAME/image.ts'])

const PAGES = await Promise.all(
  ['docs/contributing/architecture.md', 'docs/contributing/extend.md', 'CONTRIBUTING.md'].map(async page => {
    const text = await readFile(join(ROOT, page), 'utf8')
    const paths = [...text.matchAll(/`((?:\w[\w-]*\/)+(?:[\w.-]+)?|[\w-]+\.ts)`/g)].map(([, path = '']) => path)
    return [page, [...new Set(paths)].filter(path => !ABSENT.has(path))] as const
  }),
)

describe.each(PAGES)('the page %s', (_page, paths) => {
  it('names paths', () => {
    expect(paths.length).toBeGreaterThan(0)
  })

  it.each(paths)('names %s, which exists', path => {
    expect(BASES.some(base => existsSync(join(ROOT, base, path)))).toBe(true)
  })
})
