import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PodRecipe } from '../node/recipe-pull.ts'
import { PATIENCE, PATIENT, PATIENT_BY_PROGRAM } from '../patience.ts'
import { listNixBuilds, nixBuildManifest, untilNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import { countBuilds } from '../shim/pull/builds.ts'
import { type GatedFlake, makeGatedFlake } from './gated-flake.ts'
import { imageBuilt } from './image-built.ts'
import type { ClusterNode } from './node.ts'
import { type PodName, type PodPlan, podManifest, SLEEP, waitForPhase } from './pods.ts'
import { startWholeCluster, type WholeCluster } from './whole-cluster.ts'

let cluster: WholeCluster
let node: ClusterNode

beforeAll(async () => {
  cluster = await startWholeCluster({ controllerFlags: ['--unwanted-grace=2s'] })
  node = await cluster.addNode({
    shim: { config: { nix: { user: 'nobody', abandonAfter: '5s', maxBuilds: 4 } } },
  })
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

test('the build of a pod that is deleted is cancelled after the grace time, and its NixBuild is deleted', async () => {
  const flake = await makeFlake()
  // The pod goes although its grace period is long, because its container never started.
  const pod = await startPod(flake, { terminationGracePeriodSeconds: 600 })
  const deleted = performance.now()
  await deletePod(pod)
  await expect.poll(() => listNixBuilds(cluster, pod.namespace), PATIENT).toEqual([])
  expect(performance.now() - deleted).toBeGreaterThan(2000)
  await expect.poll(() => flake.isBuilding(node), PATIENT_BY_PROGRAM).toBe(false)
  await waitUntilGone(pod)
  expect(await listNixBuilds(cluster, pod.namespace)).toEqual([])
})

test('a build continues while another pod of the namespace waits for it, and the deleted pod is gone before its end', async () => {
  const [shared, single] = [await makeFlake(), await makeFlake()]
  const namespace = await cluster.createNamespace()
  const [first, second] = [await startPod(shared, { namespace }), await startPod(shared, { namespace })]
  const singlePod = await startPod(single)
  await Promise.all([deletePod(first), deletePod(singlePod)])
  // When this build has ended, the grace time of the other one is over too.
  await expect.poll(() => single.isBuilding(node), PATIENT_BY_PROGRAM).toBe(false)
  await waitUntilGone(first)
  expect(await shared.isBuilding(node)).toBe(true)
  await shared.open()
  await waitForPhase(cluster, second, 'Running')
  await untilNixBuilds(cluster, namespace, { status: 'Succeeded' })
})

test('a build continues while a pod of another namespace waits for it, and the deleted pod is gone before its end', async () => {
  const [shared, single] = [await makeFlake(), await makeFlake()]
  const [first, second] = [await startPod(shared), await startPod(shared)]
  const singlePod = await startPod(single)
  await Promise.all([deletePod(first), deletePod(singlePod)])
  await expect.poll(() => listNixBuilds(cluster, first.namespace), PATIENT).toEqual([])
  await expect.poll(() => single.isBuilding(node), PATIENT_BY_PROGRAM).toBe(false)
  await waitUntilGone(first)
  expect(await shared.isBuilding(node)).toBe(true)
  await shared.open()
  await waitForPhase(cluster, second, 'Running')
  expect(await countBuilds(node.shim, shared.recipe.image)).toBe(1)
})

test('a pod that is created within the grace time takes over the build of its predecessor', async () => {
  const flake = await makeFlake()
  const first = await startPod(flake)
  await deletePod(first)
  const second = await startPod(flake, { namespace: first.namespace })
  await flake.open()
  await waitForPhase(cluster, second, 'Running')
  expect(await countBuilds(node.shim, flake.recipe.image)).toBe(1)
})

test('a pod that is created after its build was cancelled starts the build again', async () => {
  const flake = await makeFlake()
  const first = await startPod(flake)
  await deletePod(first)
  await expect.poll(() => flake.isBuilding(node), PATIENT_BY_PROGRAM).toBe(false)
  const second = await startPod(flake, { namespace: first.namespace })
  await flake.open()
  await waitForPhase(cluster, second, 'Running')
  await expect.poll(() => imageBuilt(cluster, second), PATIENT).toMatchObject({ status: 'True' })
})

test('`kubectl drain` of a node ends while the node builds for its pods', async () => {
  const pod = await startPod(await makeFlake())
  try {
    // It waits until all pods are gone.
    await cluster.kubectl(['drain', node.name, '--force', '--ignore-daemonsets', `--timeout=${PATIENCE}`])
  } finally {
    await cluster.kubectl(['uncordon', node.name])
  }
  await waitUntilGone(pod)
})

test('a NixBuild that a user created is built to its end even if all its pods are deleted', async () => {
  const flake = await makeFlake()
  const single = await makeFlake()
  const namespace = await cluster.createNamespace()
  const { image: imageTag, ...spec } = flake.recipe
  await cluster.apply(nixBuildManifest(namespace, 'by-hand', { imageTag, ...spec }))
  await untilNixBuilds(cluster, namespace, { status: 'Building' })
  const pod = await startPod(flake, { namespace })
  const singlePod = await startPod(single)
  await Promise.all([deletePod(pod), deletePod(singlePod)])
  await expect.poll(() => single.isBuilding(node), PATIENT_BY_PROGRAM).toBe(false)
  expect(await flake.isBuilding(node)).toBe(true)
  await flake.open()
  await untilNixBuilds(cluster, namespace, { status: 'Succeeded' })
})

interface FlakeWithRecipe extends Omit<GatedFlake, 'recipe'> {
  readonly recipe: PodRecipe
}

let flakes = 0
let pods = 0

async function makeFlake(): Promise<FlakeWithRecipe> {
  flakes += 1
  const flake = await makeGatedFlake(cluster)
  return { ...flake, recipe: flake.recipe(`registry.example/abandoned/image-${flakes}:1`) }
}

/** Resolves when the build of the pod's image runs. */
async function startPod({ recipe, isBuilding }: FlakeWithRecipe, plan: Partial<PodPlan> = {}): Promise<PodName> {
  pods += 1
  const pod = { namespace: plan.namespace ?? (await cluster.createNamespace()), name: `pod-${pods}` }
  const { image } = recipe
  await cluster.apply(podManifest({ node: node.name, image, recipe, command: SLEEP, ...plan, ...pod }))
  await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'False', reason: 'Building' })
  await expect.poll(() => isBuilding(node), PATIENT_BY_PROGRAM).toBe(true)
  return pod
}

async function deletePod({ namespace, name }: PodName): Promise<void> {
  await cluster.kubectl(['delete', 'pod', name, `--namespace=${namespace}`, '--wait=false'])
}

async function waitUntilGone({ namespace, name }: PodName): Promise<void> {
  await cluster.kubectl(['wait', '--for=delete', `pod/${name}`, `--namespace=${namespace}`, `--timeout=${PATIENCE}`])
}
