import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, expect, it, vi } from 'vitest'
import type { NodeBuild } from '../../../../kube/resources/nixnode.ts'
import { createNodeBuilds } from '../../../../shim/cluster/builds/node-builds.ts'
import { createPresentImages } from '../../../../shim/cluster/builds/present-images.ts'
import type { ImageRecords } from '../../../../shim/pull/contract.ts'
import { PATIENT } from '../../../patience.ts'
import { NODE } from './runs.ts'

type Listed = Awaited<ReturnType<ImageRecords['withLabel']>>

const image = (key: string): NodeBuild => {
  return { namespace: 'team', key, state: 'Present', since: '2026-01-01T00:00:00Z', pods: [] }
}

const record = (key: string) => {
  const target = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: 'sha256:0', size: 1 }
  return { name: `${key}:1`, labels: { 'enbi.hrzn.ee/recipe': key }, target, updatedAt: 0 }
}

afterEach(() => void vi.useRealTimers())

it('the images that an earlier shim reported are reported again if they are still there', async () => {
  await using bed = await begin(async () => [record('there')])
  await bed.write(JSON.stringify([image('there'), image('gone')]))
  await bed.images.restore()
  expect(bed.builds.present()).toEqual([image('there')])
})

it('the images that a shim of version 0.1 listed are reported with what containerd knows of them', async () => {
  const there = record('there')
  const labels = { ...there.labels, 'enbi.hrzn.ee/image-id': 'sha256:1', 'enbi.hrzn.ee/store-path': '/nix/store/x' }
  await using bed = await begin(async () => [{ ...there, labels, updatedAt: Date.UTC(2026, 0, 1) }])
  const older = (recipe: string) => ({ namespace: 'team', name: `nixbuild-${recipe}`, recipe })
  await bed.write(JSON.stringify([older('there'), older('gone')]))
  await bed.images.restore()
  const facts = { nixBuild: 'nixbuild-there', imageDigest: 'sha256:1', storePath: '/nix/store/x' }
  expect(bed.builds.present()).toEqual([{ ...image('there'), ...facts }])
})

it('what is saved while images are restored does not replace them', async () => {
  const { promise: answered, resolve: answer } = Promise.withResolvers<Listed>()
  await using bed = await begin(() => answered)
  await bed.write(JSON.stringify([image('old')]))
  const restored = bed.images.restore()
  bed.builds.restore([image('new')])
  answer([record('old')])
  await restored
  await expect.poll(bed.saved, PATIENT).toMatch(/"new".*"old"/)
})

it('a damaged file counts as empty', async () => {
  await using bed = await begin(async () => [record('there')])
  await bed.write('[{"namespace": 1}]')
  await bed.images.restore()
  expect(bed.builds.present()).toEqual([])
})

it('an image that is removed is not reported any more', async () => {
  await using bed = await begin(async () => [record('stays')])
  bed.builds.restore([image('stays'), image('goes')])
  bed.images.check()
  await expect.poll(() => bed.builds.present(), PATIENT).toEqual([image('stays')])
  await expect.poll(bed.saved, PATIENT).toBe(JSON.stringify([image('stays')]))
})

it('an image whose recipe is being built again is still reported', async () => {
  await using bed = await begin(async () => [], ['active'])
  bed.builds.restore([image('active'), image('idle')])
  bed.images.check()
  await expect.poll(() => bed.builds.present(), PATIENT).toEqual([image('active')])
  expect(bed.looks()).toBe(1)
})

it('many changes of images during a check cause one more check', async () => {
  const { promise: answered, resolve: answer } = Promise.withResolvers<Listed>()
  let looks = 0
  await using bed = await begin(async () => {
    looks += 1
    return looks === 1 ? answered : []
  })
  bed.builds.restore([image('web')])
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  for (let times = 0; times < 5; times += 1) {
    bed.images.check()
    vi.advanceTimersByTime(1000)
  }
  vi.useRealTimers()
  await expect.poll(() => looks, PATIENT).toBe(1)
  answer([record('web')])
  await expect.poll(() => bed.builds.present(), PATIENT).toEqual([])
  expect(looks).toBe(2)
})

it('a shim that ends while containerd is away forgets no image', async () => {
  await using bed = await begin(() => Promise.reject(new Error('containerd is away')))
  await bed.write(JSON.stringify([image('old')]))
  const restored = bed.images.restore()
  await expect.poll(bed.looks, PATIENT).toBeGreaterThan(0)
  bed.stop()
  await restored
  bed.builds.restore([image('new')])
  await bed.images.saved()
  expect(JSON.parse(await bed.saved())).toEqual([image('old'), image('new')])
})

it('a shim that ends during a check forgets no image', async () => {
  await using bed = await begin(() => Promise.reject(new Error('containerd is away')))
  bed.builds.restore([image('web')])
  bed.images.check()
  await expect.poll(bed.looks, PATIENT).toBeGreaterThan(0)
  bed.stop()
  await new Promise(setImmediate)
  expect(bed.builds.present()).toEqual([image('web')])
})

async function begin(withLabel: () => Promise<Listed>, active: readonly string[] = []) {
  const folder = await mkdtempDisposable(join(tmpdir(), 'present-images-'))
  const file = join(folder.path, 'nixbuilds.json')
  const stop = new AbortController()
  let looks = 0
  const look = () => {
    looks += 1
    return withLabel()
  }
  const builds = createNodeBuilds({ node: NODE, now: Date.now, onPresent: () => images.save() })
  const images = createPresentImages({
    stateDir: folder.path,
    builds,
    images: async () => ({ withLabel: look }),
    activeKeys: () => new Set(active),
    signal: stop.signal,
    logger: pino({ level: 'silent' }),
  })
  return {
    ...{ builds, images },
    looks: () => looks,
    stop: () => stop.abort(),
    write: (text: string) => writeFile(file, text),
    saved: () => readFile(file, 'utf8').catch(() => ''),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await images.saved()
      await folder[Symbol.asyncDispose]()
    },
  }
}
