import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { NEWER_CONTAINERD } from '../../../node/programs.ts'
import { recipePull } from '../../../node/recipe-pull.ts'
import { PATIENT } from '../../../patience.ts'
import { IMAGES } from './images.ts'
import { imageName, type StoreNode, startStoreNode } from './store-node.ts'

const CONTAINERDS = [
  ['of Debian', {}],
  ['of today', { programs: NEWER_CONTAINERD.dir }],
] as const

/** Tries every change to files of the store in a container. */
const DAMAGE = `
cd /nix/store/*-many/share
chmod 777 folder-0 folder-0/file-0
echo overwritten > folder-0/file-0
: > folder-0/file-1
chmod 4777 folder-0/file-2
chown 1:1 folder-0/file-3
touch folder-0/file-4
rm folder-0/file-5
mv folder-0/file-6 folder-0/moved
ln folder-0/file-7 folder-0/linked
echo more >> folder-0/linked
rm -rf folder-1
cat folder-0/file-0
`
const ABOUT_FILES = ['/bin/busybox', 'sh', '-c', 'ls /nix/store/*-many/share | wc -l; cat /nix/store/*-odd/a; echo']
const FILES_ARE_THERE = { exitCode: 0, output: '15\na\n' }

describe.each(CONTAINERDS)('containerd %s', (_which, containerd) => {
  let node: StoreNode
  beforeAll(async () => {
    node = await startStoreNode(IMAGES, { containerd })
  })
  afterEach(async () => {
    await node.removeImages()
    await collectContainerd(node)
  })
  afterAll(() => node?.[Symbol.asyncDispose]())

  test('an import leaves only the content that its image needs', async () => {
    await node.pull('large')
    expect((await node.snapshots()).others).toEqual([])
    expect(await node.ctr('leases', 'ls', '-q')).toBe('')
    const blobs = (await node.ctr('content', 'ls', '-q')).trim().split('\n')
    // Config, manifest, customization layer and the base's layer.
    expect(blobs).toHaveLength(4)
  })

  test('containers run from linked layers, and never change the store', async () => {
    const imageId = await node.pull('large')
    const command = ['/bin/busybox', 'sh', '-euc', DAMAGE]
    expect(await node.bed.runPod({ imageId, command })).toEqual({ exitCode: 0, output: 'overwritten\n' })
    await node.bed.run('nix', ['store', 'verify', '--all', '--no-trust'])
    expect(await node.bed.runPod({ imageId, command: ABOUT_FILES })).toEqual(FILES_ARE_THERE)
    await node.bed.containerd.restart()
    expect(await node.bed.runPod({ imageId, command: ABOUT_FILES })).toEqual(FILES_ARE_THERE)
  })

  test('an image outlives the store paths and their optimisation, and gives its disk back', async () => {
    await node.bed.importPauseImage()
    const before = await node.snapshots()
    const imageId = await node.pull('large')
    await node.bed.run('nix-store', ['--optimise'])
    expect(await node.bed.runPod({ imageId, command: ABOUT_FILES })).toEqual(FILES_ARE_THERE)

    await collectStore(node)
    expect(await storeHas(node, 'many')).toBe(false)
    expect(await node.bed.runPod({ imageId, command: ABOUT_FILES })).toEqual(FILES_ARE_THERE)
    await collectContainerd(node)
    expect(await node.bed.runPod({ imageId, command: ABOUT_FILES })).toEqual(FILES_ARE_THERE)

    await node.bed.cri(node.shim.socket).removeImage(imageName('large'))
    await vi.waitFor(async () => expect(await node.snapshots()).toEqual(before), PATIENT)
    // Once more from scratch: remembered digests are still correct.
    expect(await node.pull('large')).toBe(imageId)
    expect(await node.bed.runPod({ imageId, command: ABOUT_FILES })).toEqual(FILES_ARE_THERE)
  })
})

test('removing an image changes neither the store nor the layers that another image shares', async () => {
  const { small } = IMAGES.images
  if (!small) throw new Error('no small image')
  const both = { ...IMAGES, images: { small, alike: { ...small, config: { Cmd: ['/bin/busybox', 'false'] } } } }
  await using node = await startStoreNode(both)
  await node.pull('small')
  const { committed } = await node.snapshots()
  await node.pull('alike')
  expect((await node.snapshots()).committed.toSorted()).toEqual(committed.toSorted())
  await node.bed.cri(node.shim.socket).removeImage(imageName('small'))
  await collectContainerd(node)
  expect((await node.snapshots()).committed.toSorted()).toEqual(committed.toSorted())
  expect(await storeHas(node, 'many')).toBe(true)
})

describe('for the mirrors of a node', () => {
  const content = async (node: StoreNode) => (await node.ctr('content', 'ls')).trim().split('\n').slice(1)
  const records = async (node: StoreNode) => (await node.ctr('images', 'ls', '-q')).trim().split('\n')
  const source = (name: string) => `containerd.io/distribution.source.registry.example=store/${name}`
  const byDigest = (name: string) => expect.stringMatching(`^registry\\.example/store/${name}@sha256:[0-9a-f]{64}$`)

  test('an image of tars can be exported, every blob names its origin, and a record names the manifest, whose children are there', async () => {
    await using node = await startStoreNode(IMAGES, { shim: { config: { import: { layers: 'tar' } } } })
    const id = await node.pull('large')
    await node.ctr('images', 'export', `${node.bed.dir}/exported.tar`, imageName('large'))
    const rows = await content(node)
    expect(rows).toHaveLength(7)
    for (const row of rows) expect(row).toContain(source('large'))

    const names = await records(node)
    expect(names.toSorted()).toEqual([imageName('large'), byDigest('large'), id])
    const [, digest = ''] = names.find(name => name.includes('@'))?.split('@') ?? []
    const children = (await node.ctr('content', 'get', digest)).match(/sha256:[0-9a-f]{64}/g) ?? []
    expect(children).toHaveLength(6)
    for (const child of [digest, ...children]) expect(rows.join('\n')).toContain(child)

    await node.bed.cri(node.shim.socket).removeImage(imageName('large'))
    expect(await records(node)).toEqual([''])
  })

  test('an image of linked layers names no origin and no manifest, and gets both when it is made again of tars', async () => {
    await using node = await startStoreNode(IMAGES)
    await node.pull('small')
    expect((await content(node)).filter(row => row.includes('containerd.io/distribution.source'))).toEqual([])
    expect((await records(node)).filter(name => name.includes('@'))).toEqual([])

    const tars = await node.bed.startShim({ config: { import: { layers: 'tar' } } })
    await node.pull('small', tars)
    for (const row of await content(node)) expect(row).toContain(source('small'))
    expect(await records(node)).toContainEqual(byDigest('small'))

    const elsewhere = { image: 'other.example:5000/app:1', flakeUrl: node.flakeUrl, packageName: 'conf.small' }
    await node.bed.cri(tars.socket).pullImage(recipePull(elsewhere))
    for (const row of await content(node)) {
      expect(row).toContain(source('small'))
      expect(row).toContain('containerd.io/distribution.source.other.example=app')
    }
  })
})

test('a shim that is killed during an import leaves no half-filled layer', async () => {
  const trees = { ...IMAGES.trees, giant: ['many', '9', '6000', '100'] }
  const { large } = IMAGES.images
  if (!large) throw new Error('no large image')
  const huge = { ...large, layers: [['many'], ['giant'], ['odd', 'sparse']] }
  await using node = await startStoreNode({ trees, images: { huge } })
  const killed = node.pull('huge').catch(() => {})
  await vi.waitFor(async () => expect((await node.snapshots()).others).not.toEqual([]), { ...PATIENT, interval: 5 })
  await node.shim.daemon.kill()
  await killed
  await node.shim.daemon.start()
  await node.pull('huge')
  const linked = await node.files(imageName('huge'))
  expect(linked.length).toBeGreaterThan(6000)
  await collectContainerd(node)
  expect((await node.snapshots()).others).toEqual([])
  await node.removeImages()
  await node.importStream('huge')
  expect(linked).toEqual(await node.files('docker.io/library/huge:1'))
})

/** Removes the gc roots of the store paths, and collects them. */
async function collectStore(node: StoreNode): Promise<void> {
  await node.bed.run('sh', [
    '-c',
    'rm -rf "$1"/gcroots/* "$1"/results/*; nix-collect-garbage',
    'sh',
    node.shim.stateDir,
  ])
}

async function collectContainerd(node: StoreNode): Promise<void> {
  await node.ctr('leases', 'create', '--id', 'collect')
  await node.ctr('leases', 'rm', '--sync', 'collect')
}

async function storeHas({ bed }: StoreNode, name: string): Promise<boolean> {
  return (await bed.run('ls', ['/nix/store'])).stdout.split('\n').some(path => path.endsWith(`-${name}`))
}
