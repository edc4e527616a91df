import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const page = await readFile(join(ROOT, 'docs/contributing/architecture.md'), 'utf8')
const paths = [...page.matchAll(/`((?:\w[\w-]*\/)+(?:[\w.-]+)?)`/g)].map(([, path = '']) => path)

describe('the page on the architecture', () => {
  it('names paths', () => {
    expect(paths.length).toBeGreaterThan(0)
  })

  it.each(paths)('names %s, which exists', path => {
    const folders = ['', 'shim', 'controller', 'shim/import', 'lib']
    expect(folders.some(folder => existsSync(join(ROOT, folder, path)))).toBe(true)
  })
})
