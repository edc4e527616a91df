import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { recipeAnnotations } from '../../../node/recipe-pull.ts'
import { runDoctor } from '../../doctor/run-doctor.ts'
import { IMAGES } from './images.ts'
import { imageName, type StoreNode, startStoreNode } from './store-node.ts'

/** Each test damages the image, which is complete again at its end. */
let node: StoreNode
/** Folders of its layers, bottom first. */
let folders: string[]
beforeAll(async () => {
  node = await startStoreNode(IMAGES)
  await node.pull('large')
  // Collects what the import has discarded.
  await node.ctr('leases', 'create', '--id', 'collect')
  await node.ctr('leases', 'rm', '--sync', 'collect')
  const parent = join(node.bed.containerdRoot, 'io.containerd.snapshotter.v1.overlayfs/snapshots')
  const ids = (await readdir(parent)).map(Number).sort((one, other) => one - other)
  folders = ids.map(id => join(parent, String(id)))
})
afterAll(() => node?.[Symbol.asyncDispose]())

const ABOUT_FILES = [
  '/bin/busybox',
  'sh',
  '-c',
  'cat /base/kept; ls /nix/store/*-many/share | wc -l; cat /nix/store/*-odd/a',
]
const FILES_ARE_THERE = { exitCode: 0, output: 'kept\n15\na' }

async function isPresent(shim = node.shim, name = 'large'): Promise<boolean> {
  const recipe = { image: imageName(name), flakeUrl: node.flakeUrl, packageName: `conf.${name}` }
  const annotations = recipeAnnotations(recipe)
  return (await node.bed.cri(shim.socket).imageStatus(recipe.image, { annotations })) !== undefined
}

async function expectMadeAgain(shim = node.shim, name = 'large'): Promise<void> {
  expect(await isPresent(shim, name)).toBe(false)
  const made = await node.pull(name, shim)
  expect(await isPresent(shim, name)).toBe(true)
  expect(await node.bed.runPod({ imageId: made, command: ABOUT_FILES })).toEqual(FILES_ARE_THERE)
}

const GONE = (folder: string) => rm(folder, { recursive: true })
const WITHOUT_FILES = (folder: string) => rm(join(folder, 'fs'), { recursive: true })
const EMPTY = async (folder: string) => {
  await WITHOUT_FILES(folder)
  await mkdir(join(folder, 'fs'))
}

test.each([
  ['the lowest layer has lost its folder', GONE, 0, 1],
  ['the highest layer has lost its files', WITHOUT_FILES, -1, undefined],
  ["a layer's folder is empty", EMPTY, 2, 3],
  ['all layers have lost their folders', GONE, 0, undefined],
])('an image is made again when %s', async (_, damage, first, end) => {
  for (const folder of folders.slice(first, end)) await damage(folder)
  await expectMadeAgain()
})

async function removeTopSnapshots(): Promise<void> {
  // Fails for snapshots that have others on top.
  for (const name of (await node.snapshots()).committed) await node.ctr('snapshots', 'rm', name).catch(() => {})
}

test('an image is made again when its top snapshots are gone', async () => {
  await removeTopSnapshots()
  await removeTopSnapshots()
  await expectMadeAgain()
})

test('an image is made again when its top snapshots are gone, and containerd has restarted', async () => {
  await removeTopSnapshots()
  await node.bed.containerd.restart()
  await expectMadeAgain()
})

test('an image is made again when its layers are wanted as tars, and when tars or their snapshots are gone', async () => {
  const shim = await node.bed.startShim({ config: { import: { layers: 'tar' } } })
  const image = imageName('small')
  await node.pull('small')
  const labels = async () => (await node.ctr('images', 'ls', `name==${image}`)).split('\n')[1] ?? ''
  expect(await labels()).toMatch(/enbi\.hrzn\.ee\/layers=linked,.*enbi\.hrzn\.ee\/snapshotter=overlayfs/)
  await expectMadeAgain(shim, 'small')
  expect(await labels()).toContain('enbi.hrzn.ee/layers=tar')
  const [, , digest = ''] = (await labels()).split(/\s+/)
  const { layers } = v.parse(manifest, JSON.parse(await node.ctr('content', 'get', digest)))
  await node.ctr('content', 'rm', ...layers.map(layer => layer.digest))
  // Linked layers need no tars.
  expect(await isPresent(node.shim, 'small')).toBe(true)
  await expectMadeAgain(shim, 'small')
  await node.ctr('images', 'export', join(node.bed.dir, 'exported.tar'), image)
  await removeTopSnapshots()
  await removeTopSnapshots()
  await expectMadeAgain(shim, 'small')
  expect(await isPresent(node.shim, 'small')).toBe(true)
  await shim.daemon.stop()
})

const manifest = v.object({ layers: v.array(v.object({ digest: v.string() })) })

test('an image is made again when containerd and the shim change their snapshotter', async () => {
  const config = join(node.bed.dir, 'containerd/config.toml')
  const text = await readFile(config, 'utf8')
  await writeFile(config, text.replace('snapshotter = "overlayfs"', 'snapshotter = "native"'))
  await node.bed.containerd.restart()
  await node.shim.daemon.stop()
  const containerd = { address: node.bed.containerdSocket, snapshotter: 'native' }
  const shim = await node.bed.startShim({ config: { containerd, stateDir: node.shim.stateDir } })
  const { findings } = await runDoctor(node.bed, '--config', shim.configPath)
  expect(findings).toContainEqual(
    expect.objectContaining({ check: 'images', text: expect.stringContaining(`${imageName('large')} (overlayfs)`) }),
  )
  await expectMadeAgain(shim)
})
