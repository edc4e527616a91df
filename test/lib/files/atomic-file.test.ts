import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeAtomically } from '../../../lib/files/atomic-file.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'enbi-atomic-'))
})
afterEach(() => rm(dir, { recursive: true }))

describe('writeAtomically', () => {
  it.each([{}, { synced: true }, { shared: true }])(
    'replaces a file and sets its mode, with the options %j',
    async options => {
      const path = join(dir, 'file')
      await writeFile(path, 'before')
      await writeAtomically(path, 'after', { mode: 0o640, ...options })
      expect(await readFile(path, 'utf8')).toBe('after')
      expect((await stat(path)).mode & 0o777).toBe(0o640)
      expect(await readdir(dir)).toEqual(['file'])
    },
  )

  it('replaces leftovers of a killed process, and does not follow a link in their place', async () => {
    const path = join(dir, 'file')
    await writeFile(join(dir, 'other'), 'other')
    await symlink(join(dir, 'other'), `${path}.new`)
    await writeAtomically(path, 'text', { mode: 0o600 })
    expect(await readFile(join(dir, 'other'), 'utf8')).toBe('other')
    expect(await readFile(path, 'utf8')).toBe('text')
  })

  it('lets several writers write the same file at the same time if it is shared', async () => {
    const path = join(dir, 'file')
    const texts = Array.from({ length: 20 }, (_, index) => `${index}`.repeat(10_000))
    await Promise.all(texts.map(text => writeAtomically(path, text, { mode: 0o600, shared: true })))
    expect(texts).toContain(await readFile(path, 'utf8'))
    expect(await readdir(dir)).toEqual(['file'])
  })

  it('leaves nothing behind when it fails', async () => {
    const owner = { uid: -2, gid: -2 }
    await expect(writeAtomically(join(dir, 'file'), 'text', { mode: 0o600, owner })).rejects.toThrow()
    expect(await readdir(dir)).toEqual([])
  })
})
