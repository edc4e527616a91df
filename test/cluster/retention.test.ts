import { afterAll, beforeAll, expect, test } from 'vitest'
import { QUICK_ELECTION } from '../controller/world.ts'
import { PATIENCE, PATIENT } from '../patience.ts'
import { listNixBuilds, nixBuildManifest } from '../report/telling-shim.ts'
import { type GatedFlake, makeGatedFlake } from './gated-flake.ts'
import type { ClusterNode } from './node.ts'
import { podManifest, SLEEP, waitForPhase } from './pods.ts'
import { startWholeCluster, type WholeCluster } from './whole-cluster.ts'

let cluster: WholeCluster
let node: ClusterNode
let flake: GatedFlake

beforeAll(async () => {
  cluster = await startWholeCluster()
  node = await cluster.addNode()
  flake = await makeGatedFlake(cluster)
  await flake.open()
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

/** Its predecessor may not have let go of the Lease. */
const startController = (...flags: string[]) => cluster.startController({ flags: [...QUICK_ELECTION, ...flags] })

test('of the finished NixBuilds of a namespace the latest stay, and the one that a living pod uses', async () => {
  await using _controller = await startController('--keep-finished=2')
  const namespace = await cluster.createNamespace()
  const used = await addPod(namespace, 'used')
  // Of those that end in one second the first by name counts as the latest.
  for (const name of ['d-first', 'c-second', 'b-third', 'a-fourth']) await addFinished(namespace, name)
  await expect.poll(() => namesIn(namespace), PATIENT).toEqual(['a-fourth', 'b-third', used].toSorted())
  await cluster.kubectl(['delete', 'pod', 'used', `--namespace=${namespace}`])
  await expect.poll(() => namesIn(namespace), PATIENT).toEqual(['a-fourth', 'b-third'])
})

test('a finished NixBuild goes when it is old enough, but not while a living pod uses it', async () => {
  await using _controller = await startController('--keep-finished-for=3s')
  const namespace = await cluster.createNamespace()
  const used = await addPod(namespace, 'used')
  await addFinished(namespace, 'old')
  await expect.poll(() => namesIn(namespace), PATIENT).toEqual([used])
  await cluster.kubectl(['delete', 'pod', 'used', `--namespace=${namespace}`])
  await expect.poll(() => namesIn(namespace), PATIENT).toEqual([])
})

/** A running pod; resolves to the name of the NixBuild that was made for it. */
async function addPod(namespace: string, name: string): Promise<string> {
  const recipe = flake.recipe(imageOf(namespace, name))
  await cluster.apply(podManifest({ namespace, name, node: node.name, image: recipe.image, recipe, command: SLEEP }))
  await waitForPhase(cluster, { namespace, name }, 'Running')
  const [build] = await listNixBuilds(cluster, namespace)
  return build?.metadata.name ?? 'missing'
}

/** A NixBuild made by hand that the node has built. */
async function addFinished(namespace: string, name: string): Promise<void> {
  const { image: imageTag, ...spec } = flake.recipe(imageOf(namespace, name))
  await cluster.apply(nixBuildManifest(namespace, name, { imageTag, ...spec }))
  const status = '--for=jsonpath={.status.status}=Succeeded'
  await cluster.kubectl(['wait', `nixbuild/${name}`, `--namespace=${namespace}`, status, `--timeout=${PATIENCE}`])
}

function imageOf(namespace: string, name: string): string {
  return `registry.example/${namespace}/${name}:1`
}

async function namesIn(namespace: string): Promise<string[]> {
  const builds = await listNixBuilds(cluster, namespace)
  return builds.map(({ metadata }) => metadata.name).toSorted()
}
