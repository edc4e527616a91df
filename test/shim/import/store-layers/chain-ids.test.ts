import { readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import * as v from 'valibot'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chainOf } from '../../../../shim/containerd/snapshot-store.ts'
import { CURRENT_FORM, type FilesLayer, plainLayer } from '../../../../shim/import/image/store-image.ts'
import { linkedDigest } from '../../../../shim/import/store-layers/compute-digests.ts'
import { writeArchiveFlake } from '../../../node/made-flake.ts'
import { recipePull } from '../../../node/recipe-pull.ts'
import { busyboxImage, dockerEntries, ociEntries } from '../image.ts'
import { tar } from '../tar.ts'
import { IMAGES } from './images.ts'
import { nix2containerDigests, writeNix2ContainerFlake } from './nix2container-bed.ts'
import { LARGE_BYTES, nix2containerLayers, UNKNOWN_DIGESTS } from './nix2container-flake.ts'
import { writeSnapshotterFlake } from './snapshotter-flake.ts'
import { type StoreNode, startStoreNode } from './store-node.ts'

/** Here containerd unpacks the tars itself. */
const ELSEWHERE = 'elsewhere'
const POLICY = [{ namespaces: ['*'], images: ['**'], flakes: ['path:/**'], plainPackages: true }]
const GZIP = { compress: gzipSync, layerType: 'application/vnd.oci.image.layer.v1.tar+gzip' }

let node: StoreNode
let packages: readonly (readonly [flakeUrl: string, packageName: string])[]
beforeAll(async () => {
  node = await startStoreNode(IMAGES)
  const { bed, flakeUrl } = node
  const digests = await nix2containerDigests(bed, CURRENT_FORM)
  const older = await nix2containerDigests(bed, { mtime: 0, hasGnames: false })
  const nix2container = await writeNix2ContainerFlake(bed, digests)
  const docker = await tar(dockerEntries(await busyboxImage('docker')))
  const oci = await tar(ociEntries(await busyboxImage('oci'), GZIP))
  packages = [
    ...Object.keys(IMAGES.images).map(name => [flakeUrl, `conf.${name}`] as const),
    [nix2container, 'image'],
    [await writeNix2ContainerFlake(bed, older), 'image'],
    [nix2container, 'program'],
    [await writeArchiveFlake(bed.dir, docker), 'image'],
    [await writeArchiveFlake(bed.dir, oci, 'folder'), 'image'],
    [await writeSnapshotterFlake(bed.dir), 'closure'],
  ]
})
afterAll(() => node[Symbol.asyncDispose]())

test('every snapshot has the files of its chain id, from tars and linked, whatever format they came in', async () => {
  const byTars = await pullAll('tar', packages)
  const reference = await unpackElsewhere()
  for (const { name, diffId, files } of byTars) expect([name, reference.get(diffId)]).toEqual([name, new Set([files])])
  await node.removeImages()

  const large = await writeNix2ContainerFlake(node.bed, UNKNOWN_DIGESTS, { size: LARGE_BYTES })
  const linked = await pullAll('linked', [...packages, [large, 'image']])
  const ofTars = linked.filter(({ diffId }) => reference.has(diffId))
  for (const { name, diffId, files } of ofTars) expect([name, reference.get(diffId)]).toContainEqual(new Set([files]))
  const ofContent = linked.filter(snapshot => !ofTars.includes(snapshot))
  const link = join(node.bed.dir, 'large-program')
  await node.bed.run('nix', ['build', '--out-link', link, `${large}#program`])
  const program = await readlink(link)
  for (const { name, diffId, folder } of ofContent)
    expect([name, ...(await contentDigests(folder, program))]).toContain(diffId)
  // Three layers of the large image of streamLayeredImage, two of nix2container's.
  expect(ofContent).toHaveLength(5)
})

const snapshotsSchema = v.record(v.string(), v.object({ parent: v.string(), folder: v.string(), files: v.string() }))

interface Snapshot {
  readonly name: string
  /** As in the image's config. */
  readonly diffId: string
  /** Digest of its own files. */
  readonly folder: string
  /** Digest of the list of its files. */
  readonly files: string
}

/** All current snapshots. */
async function pullAll(layers: 'linked' | 'tar', wanted: typeof packages): Promise<Snapshot[]> {
  const shim = await node.bed.startShim({ config: { import: { layers }, policy: POLICY } })
  for (const [index, [flakeUrl, packageName]] of wanted.entries()) {
    const image = `registry.example/${layers}/${index}:1`
    await node.bed.cri(shim.socket).pullImage(recipePull({ image, flakeUrl, packageName }))
  }
  await shim.daemon.stop()
  return snapshotsIn('k8s.io')
}

/** Digests of the files that containerd unpacks from tars, by diff id. */
async function unpackElsewhere(): Promise<Map<string, Set<string>>> {
  const names = (await node.ctr('images', 'ls', '-q')).split('\n').filter(name => name.startsWith('registry.example/'))
  const archive = join(node.bed.dir, 'exported.tar')
  await node.ctr('images', 'export', archive, ...names)
  const ctr = ['--address', node.bed.containerdSocket, '--namespace', ELSEWHERE]
  await node.bed.run('ctr', [...ctr, 'images', 'import', archive])
  const found = new Map<string, Set<string>>()
  for (const { diffId, files } of await snapshotsIn(ELSEWHERE))
    found.set(diffId, new Set([...(found.get(diffId) ?? []), files]))
  return found
}

async function snapshotsIn(namespace: string): Promise<Snapshot[]> {
  const { bed } = node
  const program = join(import.meta.dirname, 'snapshots.py')
  const { stdout } = await bed.run('/usr/bin/python3', ['-I', program, bed.containerdSocket, namespace])
  const diffIds = await diffIdsOfAll(namespace)
  return Object.entries(v.parse(snapshotsSchema, JSON.parse(stdout))).map(([name, { parent, ...snapshot }]) => {
    const diffId = diffIds.find(diffId => chainOf(parent, diffId) === name)
    if (diffId === undefined) throw new Error(`no image's config has the layer ${name}`)
    return { name, diffId, ...snapshot }
  })
}

async function diffIdsOfAll(namespace: string): Promise<string[]> {
  const ctr = ['--address', node.bed.containerdSocket, '--namespace', namespace]
  const run = async (...args: string[]) => (await node.bed.run('ctr', [...ctr, ...args])).stdout
  const blobs = (await run('content', 'ls')).split('\n').filter(row => row.includes('gc.ref.snapshot'))
  const configs = await Promise.all(blobs.map(row => run('content', 'get', row.trim().split(/\s+/)[0] ?? '')))
  return configs.flatMap((config): string[] => JSON.parse(config).rootfs.diff_ids)
}

/** Possible digests of a layer with the files of that folder, by their NAR hash; `moved`: where files at its root come from. */
async function contentDigests(folder: string, moved: string): Promise<string[]> {
  const [below] = await readdir(join(folder, 'nix/store')).catch(() => [])
  const path = below === undefined ? moved : `/nix/store/${below}`
  const { stdout } = await node.bed.run('nix-hash', [
    '--type',
    'sha256',
    below === undefined ? folder : join(folder, path),
  ])
  const infos = new Map([[path, { path, narHash: stdout.trim(), narSize: 0, references: [] }]])
  const layers: FilesLayer[] = [plainLayer([path]), ...nix2containerLayers(path, CURRENT_FORM)]
  return layers.map(layer => linkedDigest(layer, infos).digest)
}
