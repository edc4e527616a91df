import { execFile } from 'node:child_process'
import { access, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { tidyClones } from '../../../../shim/nix/caches/tidy-clones.ts'

const { signal } = new AbortController()
const user = { env: { PATH: process.env.PATH ?? '' }, home: '/' }

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'enbi-clones-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test('locks of tarballs are kept if another run may hold them, and removed if all runs are younger', async () => {
  const tarballs = join(folder, 'tarball-cache')
  await promisify(execFile)('git', ['init', '--quiet', '--bare', tarballs])
  const lockOf = (name: string) => join(tarballs, 'objects', 'pack', `pack-${name}.idx.lock`)
  const [old, live] = [lockOf('old'), lockOf('live')]
  const before = Date.now() - 60_000
  await writeFile(old, '')
  await utimes(old, before / 1000 - 1, before / 1000 - 1)
  await writeFile(live, '')
  expect(await tidyClones(folder, { user, before, signal })).toBe(false)
  await expect(access(old)).rejects.toThrow()
  await access(live)
  expect(await tidyClones(folder, { user, before: Date.now() + 60_000, signal })).toBe(true)
  await expect(access(live)).rejects.toThrow()
})

test('a repository of tarballs is kept while it is created, and removed if it was left incomplete', async () => {
  const tarballs = join(folder, 'tarball-cache-v2')
  await promisify(execFile)('git', ['init', '--quiet', '--bare', tarballs])
  await rm(join(tarballs, 'HEAD'))
  await tidyClones(folder, { user, before: Date.now() - 60_000, signal })
  await access(tarballs)
  await tidyClones(folder, { user, before: Date.now() + 60_000, signal })
  await expect(access(tarballs)).rejects.toThrow()
})
