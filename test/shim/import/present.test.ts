import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ImportProgress } from '../../../shim/import/image/contract.ts'
import { busyboxImage, dockerEntries, makeImage, ociEntries, smallImage } from './image.ts'
import { type ImportNode, startImportNode } from './import-node.ts'
import { tar } from './tar.ts'

let node: ImportNode
beforeAll(async () => {
  node = await startImportNode()
})
afterAll(() => node[Symbol.asyncDispose]())

/** An import, with the number of bytes it read of the build result. */
async function importCounting(storePath: string) {
  let readBytes = 0
  const onProgress = (progress: ImportProgress) => {
    if (progress.phase === 'importing') readBytes = progress.doneBytes
  }
  return { ...(await node.importImage(storePath, { onProgress })), readBytes }
}

it('a build result that was imported before is not read again', async () => {
  const path = await node.addFile('again', await tar(dockerEntries(await smallImage('again'))))
  const first = await importCounting(path)
  expect(first.sentBytes).toBeGreaterThan(0)
  expect(await importCounting(path)).toEqual({ ...first, sentBytes: 0, readBytes: 0 })
})

it('an image without layers can be imported again', async () => {
  const image = makeImage([])
  const path = await node.addFile('no-layers', await tar(dockerEntries(image)))
  for (const _ of ['first', 'again']) expect(await importCounting(path)).toMatchObject({ imageId: image.id })
})

it('content that containerd has is not sent again, whichever build result it comes from', async () => {
  const image = await smallImage('other output')
  const first = await node.addFile('output-1', await tar(dockerEntries(image)))
  const second = await node.addFile('output-2', gzipSync(await tar(dockerEntries(image))))
  const { manifestDigest } = await node.importImage(first)
  expect(await node.importImage(second)).toMatchObject({ manifestDigest, sentBytes: 0 })
})

it.each([
  ['a folder', 'folder'],
  ['an OCI archive', 'archive'],
])('layers that containerd has are not sent again from %s', async (_, form) => {
  const entries = ociEntries(await smallImage(form))
  const put = async (name: string) =>
    form === 'folder' ? node.addFolder(name, entries) : node.addFile(name, await tar(entries))
  await node.importImage(await put(`${form}-1`))
  expect(await node.importImage(await put(`${form}-2`))).toMatchObject({ sentBytes: 0 })
})

it('only the new layers are sent of an image that shares layers with another', async () => {
  const base = await busyboxImage('base')
  const more = makeImage([...base.layers, await tar([{ name: 'more', content: 'more' }])])
  await node.importImage(await node.addFile('base', await tar(dockerEntries(base))))
  const { sentBytes } = await node.importImage(await node.addFile('more', await tar(dockerEntries(more))))
  const newLayer = more.layers.at(-1)?.length ?? 0
  expect(sentBytes).toBeGreaterThan(newLayer)
  expect(sentBytes).toBeLessThan(newLayer + 10_000)
})

it('a build result is read again when containerd has lost its content', async () => {
  const image = await smallImage('lost')
  const path = await node.addFile('lost', await tar(dockerEntries(image)))
  const { sentBytes, imageId } = await node.importImage(path, { image: 'registry.example/lost:1' })
  await node.bed.cri().removeImage(imageId)
  await node.collect()
  expect((await node.contents()).blobs).not.toContain(imageId)
  expect(await node.importImage(path, { image: 'registry.example/lost:1' })).toMatchObject({ imageId, sentBytes })
})

it('an image that has only lost its snapshots is unpacked again from its blobs', async () => {
  const image = await smallImage('unpack again')
  const path = await node.addFile('unpack-again', await tar(dockerEntries(image)))
  const { imageId } = await node.importImage(path)
  const [snapshot = ''] = image.layers.map(layer => makeImage([layer])).map(({ config }) => diffId(config))
  await node.ctr('snapshots', 'rm', snapshot)
  expect(await node.importImage(path)).toMatchObject({ imageId, sentBytes: 0 })
  expect((await node.contents()).snapshots?.join()).toContain(snapshot)
})

it('a damaged entry of the image cache is ignored', async () => {
  const image = await smallImage('damaged plan')
  const path = await node.addFile('damaged-plan', await tar(dockerEntries(image)))
  await node.importImage(path)
  const plans = join(node.options.stateDir, 'plans')
  for (const name of await readdir(plans)) {
    const text = await readFile(join(plans, name), 'utf8')
    await writeFile(join(plans, name), text.slice(0, -20))
  }
  expect(await importCounting(path)).toMatchObject({ imageId: image.id, sentBytes: 0, readBytes: expect.any(Number) })
})

it('an entry of the image cache that another user could have written is ignored', async () => {
  const path = await node.addFile('open-plans', await tar(dockerEntries(await smallImage('open plans'))))
  await node.importImage(path)
  await chmod(join(node.options.stateDir, 'plans'), 0o777)
  expect((await importCounting(path)).readBytes).toBeGreaterThan(0)
  await chmod(join(node.options.stateDir, 'plans'), 0o700)
  expect((await importCounting(path)).readBytes).toBe(0)
})

it('a name that gets another image resolves to that image from then on', async () => {
  const images = [await smallImage('before'), await smallImage('after')]
  for (const [index, image] of images.entries()) {
    const path = await node.addFile(`renamed-${index}`, await tar(dockerEntries(image)))
    await node.importImage(path, { image: 'registry.example/renamed:1' })
    expect(await node.bed.cri().imageStatus('registry.example/renamed:1')).toMatchObject({ id: image.id })
  }
})

it('concurrent imports do not disturb each other', async () => {
  const texts = ['one', 'two', 'three', 'four', 'five']
  const base = await busyboxImage('many')
  const paths = await Promise.all(
    texts.map(async text => {
      const image = makeImage([...base.layers, await tar([{ name: text, content: text }])])
      return node.addFile(`many-${text}`, await tar(dockerEntries(image)))
    }),
  )
  const imported = await Promise.all(
    [...paths, ...paths].map((path, index) => node.importImage(path, { image: `registry.example/many:${index % 5}` })),
  )
  expect(new Set(imported.map(({ imageId }) => imageId)).size).toBe(texts.length)
  expect((await node.contents()).leases).toEqual([])
})

function diffId(config: Buffer): string {
  return JSON.parse(config.toString()).rootfs.diff_ids[0]
}
