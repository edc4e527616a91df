import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RetryableError } from '../../../lib/errors.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import type { FoundImage } from '../../../shim/containerd/services/images.ts'
import type { PathQuery } from '../../../shim/nix/store/path-info.ts'
import { STORE_PATH_LABEL } from '../../../shim/pull/image-of-recipe.ts'
import { createStoreUse, folderUse } from '../../../shim/status/disk-use.ts'
import { createKeptImages } from '../../../shim/status/kept-images.ts'

describe('the images of the shim', () => {
  const record = (name: string, digest: string, storePath = '/nix/store/a'): FoundImage => ({
    name,
    labels: { [STORE_PATH_LABEL]: storePath },
    target: { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size: 1 },
    updatedAt: 1,
  })
  const kept = (records: FoundImage[], known = [{ id: 'sha256:id', size: 7 }]) =>
    createKeptImages({ images: async () => ({ withLabel: async () => records, all: async () => known }) })()

  it('have the id of the record with the same target, and the size that CRI has', async () => {
    const { images } = await kept([record('sha256:id', 'm1'), record('b:1', 'm1', '/nix/store/b'), record('a:1', 'm1')])
    expect(images).toEqual([
      { image: 'a:1', imageId: 'sha256:id', storePath: '/nix/store/a', size: 7, updatedAt: 1 },
      { image: 'b:1', imageId: 'sha256:id', storePath: '/nix/store/b', size: 7, updatedAt: 1 },
    ])
  })

  it('are listed once if a record for mirrors stands beside the tag', async () => {
    const digest = `r.example/a@m1`
    const tag = record('r.example/a:1', 'm1')
    expect((await kept([record(digest, 'm1'), tag])).images).toMatchObject([{ image: 'r.example/a:1' }])
    expect((await kept([record(digest, 'm1')])).images).toMatchObject([{ image: digest }])
  })

  it('have no name if it now belongs to another image', async () => {
    const { images } = await kept([record('sha256:id', 'm1'), record('a:1', 'm2'), record('sha256:new', 'm2')])
    expect(images).toMatchObject([
      { image: 'a:1', imageId: 'sha256:new', size: undefined },
      { image: undefined, imageId: 'sha256:id', size: 7 },
    ])
  })

  it('are unknown, with the reason, if containerd refuses', async () => {
    const asked = createKeptImages({ images: () => Promise.reject(new RetryableError('ContainerdAway', 'away')) })
    expect(await asked()).toEqual({ images: [], problem: 'away' })
  })

  it('are requested once while containerd does not answer', async () => {
    const timeLimit = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(AbortSignal.abort())
    try {
      const images = vi.fn(() => new Promise<never>(() => {}))
      const ask = createKeptImages({ images })
      expect((await ask()).problem).toContain('no answer within')
      expect((await ask()).problem).toContain('no answer within')
      expect(images).toHaveBeenCalledTimes(1)
    } finally {
      timeLimit.mockRestore()
    }
  })
})

describe('the size of store paths', () => {
  const path = (letter: string) => `/nix/store/${letter.repeat(32)}-x`
  const info = (letter: string): StorePathInfo => ({ path: path(letter), narHash: '', narSize: 10, references: [] })
  const setUp = (answer: (paths: readonly string[], query: PathQuery) => Promise<StorePathInfo[]>) => {
    const pathInfo = vi.fn(answer)
    return { pathInfo, use: createStoreUse({ builder: async () => ({ pathInfo }) }) }
  }
  const store = async (paths: readonly string[], { recursive }: PathQuery) => {
    if (recursive && paths.includes(path('0'))) throw new RetryableError('StorePathMissing', 'it is gone')
    const there = paths.filter(one => one !== path('0')).map(one => ({ ...info('a'), path: one }))
    return recursive ? [...there, info('c')] : there
  }

  it('is the sum of their closure, without missing paths and invalid paths', async () => {
    const { use } = setUp(store)
    expect(await use([path('a'), path('b'), path('0'), '/etc/passwd', undefined])).toEqual({ paths: 3, narBytes: 30 })
  })

  it('is requested once as long as the paths are the same', async () => {
    const { use, pathInfo } = setUp(store)
    await use([path('a'), path('b')])
    const { length } = pathInfo.mock.calls
    await use([path('b'), path('a'), path('b')])
    expect(pathInfo.mock.calls).toHaveLength(length)
    expect(await use([path('a')])).toEqual({ paths: 2, narBytes: 20 })
  })

  it('is zero without paths, and needs no nix', async () => {
    const { use, pathInfo } = setUp(store)
    expect(await use([undefined])).toEqual({ paths: 0, narBytes: 0 })
    expect(pathInfo).not.toHaveBeenCalled()
  })

  it('is unknown, with the reason, if nix fails, and is requested again', async () => {
    let isAway = true
    const { use } = setUp(async (...query) => {
      if (isAway) throw new RetryableError('NixDaemonAway', 'away')
      return store(...query)
    })
    expect(await use([path('a')])).toEqual({ paths: 0, narBytes: 0, problem: 'away' })
    isAway = false
    expect(await use([path('a')])).toEqual({ paths: 2, narBytes: 20 })
  })

  it('is not requested if there are too many paths', async () => {
    const { use, pathInfo } = setUp(store)
    const many = Array.from({ length: 1001 }, (_, index) => `${path('a')}${index}`)
    expect((await use(many)).problem).toContain('more than 1000')
    expect(pathInfo).not.toHaveBeenCalled()
  })
})

describe('a folder', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'enbi-use-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  it('that is missing counts as empty', async () => {
    expect(await folderUse(join(dir, 'none'))).toEqual({ files: 0, bytes: 0 })
  })

  it('is measured by its files and their lengths', async () => {
    await writeFile(join(dir, 'a'), '12345')
    await writeFile(join(dir, 'b'), '123')
    expect(await folderUse(dir)).toEqual({ files: 2, bytes: 8 })
  })

  it('with more than 5,000 files is estimated', async () => {
    const many = join(dir, 'many')
    await mkdir(many)
    await Promise.all(Array.from({ length: 5005 }, (_, index) => writeFile(join(many, String(index)), '12')))
    expect(await folderUse(many)).toEqual({ files: 5005, bytes: 10_010 })
  })
})
