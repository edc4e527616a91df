import { mkdir, mkdtempDisposable, readdir, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findExcess, pruneCaches } from '../../shim/build/prune-caches.ts'

const DAY = 24 * 3_600_000
const GIB = 1024 ** 3

const cache = (name: string, usedDaysAgo: number, bytes = 1) => ({ name, usedAt: -usedDaysAgo * DAY, bytes })
const excess = (caches: readonly ReturnType<typeof cache>[]) => findExcess(caches, 0).map(({ name }) => name)

test('of the caches of sources those go that were unused for 30 days', () => {
  expect(excess([cache('new', 0), cache('old', 31), cache('used', 29)])).toEqual(['old'])
})

test('of more than 256 caches the oldest go', () => {
  const caches = Array.from({ length: 258 }, (_, index) => cache(String(index), index / 10))
  expect(excess(caches)).toEqual(['256', '257'])
})

test('of more than 16 GiB of caches the oldest go, and never the newest alone', () => {
  expect(excess([cache('c', 3, GIB), cache('a', 1, 10 * GIB), cache('b', 2, 6 * GIB)])).toEqual(['c'])
  expect(excess([cache('big', 1, 20 * GIB), cache('older', 2)])).toEqual(['older'])
})

test('a cache in use stays, and what an earlier removal left goes', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'caches-'))
  for (const name of ['used', 'unused', 'doomed-x']) {
    await mkdir(join(dir.path, name, 'nix'), { recursive: true })
    await writeFile(join(dir.path, name, 'nix/file'), '')
    await utimes(join(dir.path, name), 0, 0)
  }
  await pruneCaches({ dir: dir.path, user: {}, inTurn: task => task(), isUsed: name => name === 'used' })
  expect(await readdir(dir.path)).toEqual(['used'])
})
