import { afterAll, beforeAll, expect, test } from 'vitest'
import { IMAGES } from './images.ts'
import { imageName, type StoreNode, startStoreNode } from './store-node.ts'

const NAMES = ['small', 'large', 'owned']

let node: StoreNode
const streamed = new Map<string, { id: string; files: string[] }>()

beforeAll(async () => {
  node = await startStoreNode(IMAGES)
  for (const name of NAMES) {
    const id = await node.importStream(name)
    streamed.set(name, { id, files: await node.files(`docker.io/library/${name}:1`) })
    await node.removeImages()
  }
})
afterAll(() => node[Symbol.asyncDispose]())

test.each(NAMES)('linked layers have the same files as the streamed archive: %s', async name => {
  await node.pull(name)
  const files = await node.files(imageName(name))
  expect(files.length).toBeGreaterThan(300)
  expect(files).toEqual(streamed.get(name)?.files)
  await node.removeImages()
})

test.each(NAMES)('an image of tars has the id of the streamed archive: %s', async name => {
  const shim = await node.bed.startShim({ config: { import: { layers: 'tar' } } })
  expect(await node.pull(name, shim)).toBe(streamed.get(name)?.id)
  await shim.daemon.stop()
  await node.removeImages()
})

test('another snapshotter gets tars, which is logged once', async () => {
  const containerd = { address: node.bed.containerdSocket, snapshotter: 'native' }
  const shim = await node.bed.startShim({ config: { containerd } })
  expect(await node.pull('small', shim)).toBe(streamed.get('small')?.id)
  expect(await node.pull('large', shim)).toBe(streamed.get('large')?.id)
  const log = await node.bed.run('grep', ['-c', 'cannot be linked', shim.daemon.logPath], { reject: false })
  expect(log.stdout).toBe('1')
  await shim.daemon.stop()
  await node.removeImages()
})

test('a small image has the id of its tars even if it is linked', async () => {
  expect(await node.pull('small')).toBe(streamed.get('small')?.id)
  await node.removeImages()
})

test('a large image has another id, which is the same for every shim and after a restart of containerd', async () => {
  const id = await node.pull('large')
  expect(id).not.toBe(streamed.get('large')?.id)
  await node.removeImages()
  await node.bed.containerd.restart()
  const other = await node.bed.startShim()
  expect(await node.pull('large', other)).toBe(id)
  await other.daemon.stop()
  await node.removeImages()
})
