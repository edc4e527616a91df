import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { makeGatedFlake } from '../cluster/gated-flake.ts'
import type { ClusterNode } from '../cluster/node.ts'
import { podManifest, SLEEP, waitForPhase } from '../cluster/pods.ts'
import { startWholeCluster, type WholeCluster } from '../cluster/whole-cluster.ts'
import { recipePull } from '../node/recipe-pull.ts'
import { writeStoreImages } from '../node/store-image.ts'
import { PATIENT, PATIENT_BY_PROGRAM } from '../patience.ts'
import { untilNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import { IMAGES } from '../shim/import/store-layers/images.ts'
import { mirrorAll, type Spegel, startSpegel } from './spegel.ts'

const { SPEGEL: program = '' } = process.env
const [BUILDER_ADDRESS, PLAIN_ADDRESS] = ['10.77.0.1', '10.77.0.2']

let cluster: WholeCluster
/** Builds, with its shim in tar mode. */
let builder: ClusterNode
/** Has neither a shim nor Nix. */
let plain: ClusterNode
let ofBuilder: Spegel
let ofPlain: Spegel

beforeAll(async () => {
  cluster = await startWholeCluster({ controllerFlags: ['--builder-grace=1s'] })
  builder = await cluster.addNode({ name: 'builder', shim: { config: { import: { layers: 'tar' } } } })
  const folder = join(cluster.access.dir, 'certs.d')
  await mkdir(folder)
  plain = await cluster.addNode({ name: 'plain', reports: false, withoutShim: true, mirrors: folder })
  ofBuilder = await startSpegel(builder.bed, { program, address: BUILDER_ADDRESS, peer: PLAIN_ADDRESS })
  ofPlain = await startSpegel(plain.bed, { program, address: PLAIN_ADDRESS, peer: BUILDER_ADDRESS })
  await mirrorAll(plain.bed, { program, folder }, ofPlain)
  await untilReady()
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

async function untilReady(): Promise<void> {
  for (const { url } of [ofBuilder, ofPlain])
    await vi.waitFor(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200), PATIENT)
}

async function openFlake() {
  const flake = await makeGatedFlake(cluster)
  await flake.open()
  return flake
}

/** Runs a pod without a recipe on the node without a shim, and removes both. Resolves to the image's id. */
async function runThere(namespace: string, name: string, image: string): Promise<string | undefined> {
  await cluster.apply(podManifest({ namespace, name, node: plain.name, image, command: SLEEP }))
  await waitForPhase(cluster, { namespace, name }, 'Running')
  const found = await plain.bed.cri().imageStatus(image)
  await cluster.kubectl(['delete', 'pod', name, `--namespace=${namespace}`, '--wait'])
  await plain.bed.cri().removeImage(image)
  const blobs = ['--address', plain.bed.containerdSocket, '--namespace', 'k8s.io', 'content', 'ls', '-q']
  await expect.poll(async () => (await plain.bed.run('ctr', blobs)).stdout, PATIENT_BY_PROGRAM).not.toContain(found?.id)
  return found?.id
}

test('an image that one node builds runs by tag and by digest on a node with neither shim nor Nix, also after Spegel has restarted', async () => {
  const namespace = await cluster.createNamespace()
  const flake = await openFlake()
  const image = 'registry.example/spegel/built:1'
  const recipe = flake.recipe(image)
  await cluster.apply(podManifest({ namespace, name: 'built', node: builder.name, image, recipe, command: SLEEP }))
  await waitForPhase(cluster, { namespace, name: 'built' }, 'Running')
  const built = await builder.bed.cri().imageStatus(image)
  const pinned = built?.repoDigests.find(name => name.startsWith('registry.example/spegel/built@')) ?? ''
  expect(built?.id).toBeDefined()

  expect(await runThere(namespace, 'by-tag', image)).toBe(built?.id)
  expect(await runThere(namespace, 'by-digest', pinned)).toBe(built?.id)
  for (const { daemon } of [ofBuilder, ofPlain]) await daemon.restart()
  await untilReady()
  expect(await runThere(namespace, 'by-tag-again', image)).toBe(built?.id)
  expect(await runThere(namespace, 'by-digest-again', pinned)).toBe(built?.id)
})

test('the image of a pod whose node has no shim is built by a node that has one', async () => {
  const namespace = await cluster.createNamespace()
  const flake = await openFlake()
  const image = 'registry.example/spegel/managed:1'
  const recipe = flake.recipe(image)
  await cluster.apply(podManifest({ namespace, name: 'managed', node: plain.name, image, recipe, command: SLEEP }))
  await untilNixBuilds(cluster, namespace, { status: 'Succeeded', buildNode: builder.name })
  await waitForPhase(cluster, { namespace, name: 'managed' }, 'Running')
  const ids = await Promise.all([builder, plain].map(async ({ bed }) => (await bed.cri().imageStatus(image))?.id))
  expect(ids).toEqual([expect.stringMatching(/^sha256:/), ids[0]])
})

test('a node without a shim is not sent to linked layers, which no other node can fetch', async () => {
  const linked = await builder.bed.startShim({ config: { import: { layers: 'linked' } } })
  const image = 'registry.example/spegel/linked:1'
  const { url: flakeUrl } = await writeStoreImages(builder.bed.dir, IMAGES)
  await builder.bed.cri(linked.socket).pullImage(recipePull({ image, flakeUrl, packageName: 'conf.small' }))
  // Spegel offers each tag of containerd, and remembers for some seconds that it found none.
  const tag = `${ofPlain.url}/v2/spegel/linked/manifests/1?ns=registry.example`
  await expect.poll(async () => (await fetch(tag)).status, PATIENT).toBe(200)
  await expect(plain.bed.cri().pullImage({ image })).rejects.toMatchObject({
    details: expect.stringMatching(/\/manifests\/sha256:\S+ not found/),
  })
})
