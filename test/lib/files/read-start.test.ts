import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readStart } from '../../../lib/files/read-start.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'read-start-'))
  await writeFile(join(dir, 'file'), 'x'.repeat(100))
  await symlink(join(dir, 'file'), join(dir, 'link'))
})
afterAll(() => rm(dir, { recursive: true }))

describe('the start of a file', () => {
  it('is read up to the limit, also of a short file', async () => {
    expect(await readStart(join(dir, 'file'), { maxBytes: 3, followsLink: false })).toBe('xxx')
    expect(await readStart(join(dir, 'file'), { maxBytes: 1000, followsLink: false })).toHaveLength(100)
  })

  it('is read through a symlink only if that is allowed', async () => {
    expect(await readStart(join(dir, 'link'), { maxBytes: 3, followsLink: true })).toBe('xxx')
    await expect(readStart(join(dir, 'link'), { maxBytes: 3, followsLink: false })).rejects.toThrow('ELOOP')
  })

  it('is not read from folders, devices and missing files', async () => {
    for (const path of [dir, '/dev/zero', join(dir, 'missing')])
      await expect(readStart(path, { maxBytes: 3, followsLink: true })).rejects.toThrow()
  })
})
