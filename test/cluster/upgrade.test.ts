import { afterAll, beforeAll, expect, test } from 'vitest'
import { QUICK_ELECTION } from '../controller/world.ts'
import { PATIENT } from '../patience.ts'
import { makeGatedFlake } from './gated-flake.ts'
import { type PodName, podEvents, podManifest, SLEEP, waitForPhase } from './pods.ts'
import { type OwnWholeCluster, startWholeCluster } from './whole-cluster.ts'

let cluster: OwnWholeCluster

beforeAll(async () => {
  cluster = await startWholeCluster()
})
afterAll(() => cluster?.[Symbol.asyncDispose]())

test('pods start while the shims are newer than the part of the cluster, and while they are older', async () => {
  // Before NixNodes there was neither this kind nor a right to it.
  await cluster.kubectl(['delete', 'crd', 'nixnodes.enbi.hrzn.ee'])
  const node = await cluster.addNode()
  const newer = await startPod('newer', node.name)
  await waitForPhase(cluster, newer, 'Running')
  await expect.poll(() => reasonsOf(newer), PATIENT).toContain('NixBuildSucceeded')

  // An older shim has no right to what it writes, as here to everything but its Lease.
  await cluster.installDeploy()
  await cluster.kubectl(['delete', 'clusterrole', 'enbi-shim'])
  await using _controller = await cluster.startController({ flags: QUICK_ELECTION })
  const older = await startPod('older', node.name)
  await waitForPhase(cluster, older, 'Running')
  for (const pod of [newer, older]) expect(await reasonsOf(pod)).not.toContain('Failed')
})

async function startPod(name: string, node: string): Promise<PodName> {
  const pod = { namespace: await cluster.createNamespace(), name }
  const image = `registry.example/upgrade/${name}:1`
  const flake = await makeGatedFlake(cluster)
  await flake.open()
  await cluster.apply(podManifest({ ...pod, node, image, recipe: flake.recipe(image), command: SLEEP }))
  return pod
}

async function reasonsOf(pod: PodName): Promise<string[]> {
  return (await podEvents(cluster, pod)).map(({ reason }) => reason)
}
