import { mkdir, mkdtempDisposable, readdir, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  discardUnused,
  findExcess,
  listCaches,
  measureCache,
  removeDiscarded,
  roomForCaches,
} from '../../../../shim/nix/caches/prune-caches.ts'

const DAY = 24 * 3_600_000
const GIB = 1024 ** 3

const cache = (name: string, usedDaysAgo: number) => ({ name, usedAt: -usedDaysAgo * DAY, bytes: 1, owners: ['team'] })

test('caches are removed that were unused for 30 days, or are beyond the limit', () => {
  const caches = [cache('new', 0), cache('old', 31), cache('used', 29), cache('late', 28)]
  expect(findExcess(caches, { count: 2, bytes: GIB }, 0).map(({ name }) => name)).toEqual(['old', 'used'])
})

test('all caches together are limited to a tenth of the disk and 16 GiB', async () => {
  const { blocks, bsize } = await statfs(tmpdir())
  const { bytes } = await roomForCaches(tmpdir())
  expect(bytes).toBe(Math.min(16 * GIB, Math.floor((blocks * bsize) / 10)))
})

test('a cache in use is kept, and leftovers of earlier removals are removed', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'caches-'))
  for (const name of ['used', 'unused', 'doomed-x']) {
    await mkdir(join(dir.path, name, 'nix'), { recursive: true })
    await writeFile(join(dir.path, name, 'nix/file'), 'x'.repeat(100_000))
  }
  const pruning = {
    dir: dir.path,
    user: {},
    inTurn: <Result>(task: () => Promise<Result>) => task(),
    isUsed: (name: string) => name === 'used',
  }
  expect((await listCaches(dir.path)).sort()).toEqual(['unused', 'used'])
  expect(await measureCache(join(dir.path, 'unused'))).toBeGreaterThanOrEqual(100_000)
  expect([await discardUnused(pruning, 'used'), await discardUnused(pruning, 'unused')]).toEqual([false, true])
  expect(await listCaches(dir.path)).toEqual(['used'])
  await removeDiscarded(pruning)
  expect(await readdir(dir.path)).toEqual(['used'])
})
