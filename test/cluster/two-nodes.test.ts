import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { PATIENT, PATIENT_BY_PROGRAM } from '../patience.ts'
import { listNixBuilds, nixBuildManifest, untilNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import { countBuilds } from '../shim/pull/builds.ts'
import { makeGatedFlake } from './gated-flake.ts'
import { imageBuilt } from './image-built.ts'
import type { ClusterNode } from './node.ts'
import { podManifest, SLEEP, waitForPhase } from './pods.ts'
import { startWholeCluster, type WholeCluster } from './whole-cluster.ts'

let cluster: WholeCluster
let node: ClusterNode
let other: ClusterNode

beforeAll(async () => {
  cluster = await startWholeCluster({ controllerFlags: ['--lost-grace=500ms'] })
  node = await cluster.addNode()
  other = await cluster.addNode()
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

test('two nodes that pull the same recipe both get the image and share its NixBuild', async () => {
  const namespace = await cluster.createNamespace()
  const flake = await makeGatedFlake(cluster)
  const image = 'registry.example/nodes/both:1'
  const pods = [node, other].map(each => ({ namespace, name: `on-${each.name}`, node: each.name }))
  await cluster.apply(...pods.map(pod => podManifest({ ...pod, image, recipe: flake.recipe(image), command: SLEEP })))
  for (const each of [node, other]) await expect.poll(() => flake.isBuilding(each), PATIENT_BY_PROGRAM).toBe(true)
  await flake.open()

  for (const pod of pods) await waitForPhase(cluster, pod, 'Running')
  for (const pod of pods) {
    await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True', reason: 'Built' })
  }
  await expect.poll(() => nodesOf(namespace), PATIENT).toEqual([[node.name, other.name].toSorted()])
  const [build] = await listNixBuilds(cluster, namespace)
  const ids = await Promise.all([node, other].map(async ({ bed }) => (await bed.cri().imageStatus(image))?.id))
  expect(ids[0]).toBe(ids[1])
  expect(build?.status).toMatchObject({ status: 'Succeeded', imageDigest: ids[0] })
})

test('a node that pulls later than another joins its NixBuild', async () => {
  const namespace = await cluster.createNamespace()
  const flake = await makeGatedFlake(cluster)
  await flake.open()
  const image = 'registry.example/nodes/later:1'
  for (const each of [node, other]) {
    const pod = { namespace, name: `on-${each.name}` }
    const recipe = flake.recipe(image)
    await cluster.apply(podManifest({ ...pod, node: each.name, image, recipe, command: SLEEP }))
    await waitForPhase(cluster, pod, 'Running')
    await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True' })
  }
  await expect.poll(() => nodesOf(namespace), PATIENT).toEqual([[node.name, other.name].toSorted()])
  const [build] = await listNixBuilds(cluster, namespace)
  expect(build?.status).toMatchObject({ status: 'Succeeded', buildNode: node.name })
})

test('the builds of a node that is lost move: that of a user to a node that may build it, that of a pod to the node of another pod', async () => {
  // A build for pods is lost once its shim stops renewing its Lease, whatever the state of the node.
  await using lost = await cluster.addNode({ reports: { leaseDuration: '3s' } })
  const given = await startGiven(lost)
  const shared = await startShared(lost)
  await lost.bed[Symbol.asyncDispose]()

  const moved = { buildNode: node.name, attempts: [{ node: lost.name, reason: expect.stringContaining(lost.name) }] }
  await expect.poll(() => given.flake.isBuilding(node), PATIENT_BY_PROGRAM).toBe(true)
  for (const { namespace } of [given, shared])
    await untilNixBuilds(cluster, namespace, { status: 'Building', ...moved })
  for (const { flake } of [given, shared]) await flake.open()
  for (const { namespace } of [given, shared])
    await untilNixBuilds(cluster, namespace, { status: 'Succeeded', ...moved, ready: { nodes: [node.name] } })
  expect(await countBuilds(node.shim, given.image)).toBe(1)
  await waitForPhase(cluster, shared.pod, 'Running')
  await expect.poll(() => imageBuilt(cluster, shared.pod), PATIENT).toMatchObject({ status: 'True' })
})

/** Starts the build of a NixBuild made by hand on that node. Afterwards it may move to `node`. */
async function startGiven(on: ClusterNode) {
  const namespace = await cluster.createNamespace()
  const flake = await makeGatedFlake(cluster)
  const { image, ...spec } = flake.recipe('registry.example/nodes/moved:1')
  await cluster.kubectl(['cordon', node.name, other.name])
  onTestFinished(async () => {
    await cluster.kubectl(['uncordon', node.name, other.name])
  })
  await cluster.apply(nixBuildManifest(namespace, 'by-hand', { imageTag: image, ...spec }))
  await expect.poll(() => flake.isBuilding(on), PATIENT_BY_PROGRAM).toBe(true)
  await untilNixBuilds(cluster, namespace, { status: 'Building', buildNode: on.name })
  await cluster.kubectl(['uncordon', node.name])
  return { namespace, flake, image }
}

/** Starts the build of a pod on that node, and then that of a pod on `node`. */
async function startShared(on: ClusterNode) {
  const namespace = await cluster.createNamespace()
  const flake = await makeGatedFlake(cluster)
  const image = 'registry.example/nodes/taken-over:1'
  for (const { name, bed } of [on, node]) {
    const recipe = flake.recipe(image)
    await cluster.apply(podManifest({ namespace, name: `on-${name}`, node: name, image, recipe, command: SLEEP }))
    await expect.poll(() => flake.isBuilding({ bed }), PATIENT_BY_PROGRAM).toBe(true)
    await untilNixBuilds(cluster, namespace, { status: 'Building', buildNode: on.name })
  }
  return { namespace, flake, pod: { namespace, name: `on-${node.name}` } }
}

/** For each NixBuild of the namespace, the names of the nodes that have the image. */
async function nodesOf(namespace: string): Promise<string[][]> {
  const builds = await listNixBuilds(cluster, namespace)
  return builds.map(({ status }) => status.ready?.nodes ?? [])
}
