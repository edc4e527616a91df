import { existsSync } from 'node:fs'
import { chmod, mkdtemp, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { ownedBy } from '../../../../lib/queues/fair-order.ts'
import { parseFlakeUrl } from '../../../../recipes/flake-url.ts'
import { createSourceCaches, type SourceCachesOptions } from '../../../../shim/nix/caches/source-caches.ts'
import { foldersOf, prepareStateDir } from '../../../../shim/nix/user/state-dir.ts'

async function setUp(options: Pick<SourceCachesOptions, 'unlockedMs'> = {}) {
  const root = await mkdtemp(join(tmpdir(), 'caches-'))
  const dir = foldersOf(root)
  const user = { home: dir.home, env: {} }
  await prepareStateDir(dir, {})
  const caches = createSourceCaches({ dir, user, logger: pino({ level: 'silent' }), accountAfterMs: 0, ...options })
  onTestFinished(async () => {
    await caches.settled()
    await rm(root, { recursive: true })
  })
  const recipe = { image: 'registry.example/app:1', packageName: 'app', system: 'x86_64-linux' }
  return (url: string, use: (cache: string) => Promise<void> = async () => {}) =>
    caches.use({ ...recipe, flake: parseFlakeUrl(url) }, ownedBy('team'), async ({ env: { XDG_CACHE_HOME = '' } }) => {
      await use(XDG_CACHE_HOME)
      return XDG_CACHE_HOME
    })
}

test('a cache that the build user has opened to everybody is closed after the run', async () => {
  const useCache = await setUp()
  const path = await useCache('github:team/app', cache => chmod(cache, 0o777))
  expect((await stat(path)).mode & 0o777).toBe(0o700)
})

test.each(['github:team/app', 'gitlab:team/app', 'sourcehut:~team/app', 'flake:app'])(
  'what a revision of %s has fetched is not taken for the content of another one',
  async url => {
    const useCache = await setUp()
    const [proposed, released] = [
      await useCache(`${url}/${'1'.repeat(40)}`),
      await useCache(`${url}/${'2'.repeat(40)}`),
    ]
    expect(proposed).not.toBe(released)
  },
)

test('revisions of a git repository share only its clone, and each ref has its own clone', async () => {
  const useCache = await setUp()
  const url = 'git+https://git.example/app'
  const [one, other] = ['1', '2'].map(digit => `rev=${digit.repeat(40)}`)
  const queries = ['', one, other, 'ref=main', `ref=main&${one}`, 'ref=refs/tags/main', 'allRefs=1', `allRefs=1&${one}`]
  const clones = new Map<string, string>()
  const caches = new Set<string>()
  for (const query of queries) {
    const cache = await useCache(query === '' ? url : `${url}?${query}`)
    caches.add(cache)
    clones.set(`${query}`, await realpath(join(cache, 'nix/gitv3')))
  }
  expect(caches.size).toBe(queries.length)
  const shared = Map.groupBy(clones.keys(), query => clones.get(`${query}`))
  expect([...shared.values()]).toEqual([
    ['', one, other],
    ['ref=main', `ref=main&${one}`],
    ['ref=refs/tags/main'],
    ['allRefs=1', `allRefs=1&${one}`],
  ])
})

test.each(['github:team/app', 'https://host.example/app.tar.gz', 'path:/srv/app', 'git+https://git.example/app'])(
  'what a folder of %s has fetched is not taken for what another one wants',
  async url => {
    const useCache = await setUp()
    expect(await useCache(`${url}?dir=one`)).not.toBe(await useCache(`${url}?dir=two`))
  },
)

test('the cache of an unlocked flake is dropped when nix looks up its branch again', async () => {
  const useCache = await setUp({ unlockedMs: 0 })
  const fetched = (cache: string) => join(cache, 'fetched')
  const keep = (cache: string) => writeFile(fetched(cache), '')
  for (const [url, isForgotten] of [
    ['github:team/app', true],
    ['git+https://git.example/app', true],
    [`github:team/app/${'1'.repeat(40)}`, false],
  ] as const) {
    await useCache(url, keep)
    await useCache(url, async cache => expect(existsSync(fetched(cache)), url).toBe(!isForgotten))
  }
})

test('the cache of an unlocked flake is not reused after its lifetime, even if a run still uses it', async () => {
  const useCache = await setUp({ unlockedMs: 0 })
  const url = 'github:team/app'
  const later = new Set<string>()
  const path = await useCache(url, async () => {
    for (let count = 0; count < 2; count += 1) later.add(await useCache(url, cache => writeFile(join(cache, 'x'), '')))
    await useCache(url, async cache => expect(existsSync(join(cache, 'x'))).toBe(false))
  })
  expect(later).not.toContain(path)
})
