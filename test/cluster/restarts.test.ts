import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { PATIENT, PATIENT_BY_PROGRAM } from '../patience.ts'
import { nixBuildManifest, untilNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import { countBuilds, untilLogged } from '../shim/pull/builds.ts'
import { type GatedFlake, makeGatedFlake } from './gated-flake.ts'
import { imageBuilt } from './image-built.ts'
import type { ClusterNode } from './node.ts'
import { type PodName, podEvents, podManifest, SLEEP, waitForPhase } from './pods.ts'
import { startWholeCluster, type WholeCluster } from './whole-cluster.ts'

let cluster: WholeCluster
let node: ClusterNode

beforeAll(async () => {
  cluster = await startWholeCluster({ controllerFlags: ['--lost-grace=500ms'] })
  node = await cluster.addNode()
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

test('a shim that is killed during a build leaves no NixBuild in Building, and the next pull of the kubelet succeeds', async () => {
  const flake = await makeGatedFlake(cluster)
  const pod = await startPod('killed', flake)
  await node.shim.daemon.kill()
  // The kubelet retries after its back-off.
  await expect.poll(() => reasonsOf(pod), PATIENT).toContain('Failed')
  await node.shim.daemon.start()
  const [interrupted] = await untilNixBuilds(cluster, pod.namespace, {
    status: 'Pending',
    conditions: [
      { type: 'Complete', status: 'False', reason: 'Interrupted' },
      { type: 'Success', status: 'Unknown' },
    ],
  })
  expect([interrupted?.status.buildNode, interrupted?.status.startTime]).toEqual([undefined, undefined])
  await flake.open()
  await waitForPhase(cluster, pod, 'Running')
  await untilNixBuilds(cluster, pod.namespace, { status: 'Succeeded', ready: { count: 1, nodes: [node.name] } })
  await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True', reason: 'Built' })
})

test('a shim that is killed and not restarted leaves no NixBuild in Building', async () => {
  await using silent = await cluster.addNode({ reports: { leaseDuration: '3s' } })
  const flake = await makeGatedFlake(cluster)
  const pod = await startPod('silent', flake, silent)
  await silent.shim.daemon.kill()
  await untilNixBuilds(cluster, pod.namespace, {
    status: 'Pending',
    conditions: [
      { type: 'Complete', status: 'False', reason: 'NodeLost' },
      { type: 'Success', status: 'Unknown', reason: 'NodeLost' },
    ],
    attempts: [{ node: silent.name, reason: `the shim of node ${silent.name} does not renew its Lease` }],
  })
  await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'False', reason: 'Pending' })
})

test('a shim that is killed during a build that was assigned to it builds it after its restart', async () => {
  const namespace = await cluster.createNamespace()
  const flake = await makeGatedFlake(cluster)
  const { image: imageTag, ...spec } = flake.recipe('registry.example/restarts/given:1')
  await cluster.apply(nixBuildManifest(namespace, 'given', { imageTag, ...spec }))
  await untilNixBuilds(cluster, namespace, { status: 'Building', buildNode: node.name })
  await node.shim.daemon.kill()
  await flake.open()
  await node.shim.daemon.start()
  await untilNixBuilds(cluster, namespace, {
    status: 'Succeeded',
    ready: { count: 1, nodes: [node.name] },
    attempts: [],
  })
})

test('a kill of containerd during a build does not fail the pull', async () => {
  const flake = await makeGatedFlake(cluster)
  const pod = await startPod('crash', flake)
  await node.bed.containerd.kill()
  await node.bed.containerd.start()
  await flake.open()
  await waitForPhase(cluster, pod, 'Running')
  expect(await failedPulls(pod)).toEqual([])
  await untilNixBuilds(cluster, pod.namespace, { status: 'Succeeded', ready: { count: 1, nodes: [node.name] } })
})

test('a pull waits while containerd is down, and ends once it is back', async () => {
  const flake = await makeGatedFlake(cluster)
  const pod = await startPod('away', flake)
  const { containerd } = node.bed
  await containerd.stop()
  onTestFinished(async () => {
    if (containerd.pid === undefined) await containerd.start()
  })
  await flake.open()
  await untilLogged(node.shim, 'build done', flake.url)
  await containerd.start()
  await waitForPhase(cluster, pod, 'Running')
  expect(await failedPulls(pod)).toEqual([])
})

test('a kubelet that is restarted during a build joins the build with its next pull', async () => {
  const flake = await makeGatedFlake(cluster)
  const pod = await startPod('kubelet', flake)
  await node.kubelet.restart()
  const pulls = async () => (await reasonsOf(pod)).filter(reason => reason === 'Pulling').length
  await expect.poll(pulls, PATIENT).toBe(2)
  await flake.open()
  await waitForPhase(cluster, pod, 'Running')
  expect(await countBuilds(node.shim, imageOf('kubelet'))).toBe(1)
  await untilNixBuilds(cluster, pod.namespace, { status: 'Succeeded', ready: { count: 1, nodes: [node.name] } })
})

function imageOf(name: string): string {
  return `registry.example/restarts/${name}:1`
}

/** Resolves when the build of the pod's image runs. */
async function startPod(name: string, flake: GatedFlake, on = node): Promise<PodName> {
  const pod = { namespace: await cluster.createNamespace(), name }
  const recipe = flake.recipe(imageOf(name))
  await cluster.apply(podManifest({ ...pod, node: on.name, image: recipe.image, recipe, command: SLEEP }))
  await untilNixBuilds(cluster, pod.namespace, { status: 'Building', buildNode: on.name })
  await expect.poll(() => flake.isBuilding(on), PATIENT_BY_PROGRAM).toBe(true)
  return pod
}

async function reasonsOf(pod: PodName): Promise<string[]> {
  return (await podEvents(cluster, pod)).map(({ reason }) => reason)
}

/**
 * What the kubelet says of the image's failed pulls and inspections. Creating a container may fail beside them: the kubelet
 * calls containerd's runtime service directly, and its connection may still back off after containerd is back.
 */
async function failedPulls(pod: PodName): Promise<string[]> {
  const messages = (await podEvents(cluster, pod)).map(({ message }) => message)
  return messages.filter(message => /^Failed to (pull|inspect) image /.test(message))
}
