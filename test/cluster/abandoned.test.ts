import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PodRecipe } from '../node/recipe-pull.ts'
import { PATIENCE, PATIENT } from '../patience.ts'
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
    reports: { unwantedCheck: '500ms' },
    shim: { config: { nix: { user: 'nobody', abandonAfter: '500ms', maxBuilds: 4 } } },
  })
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

test('the build of a pod that is deleted is cancelled after the grace time, and its NixBuild goes', async () => {
  const flake = await makeWish()
  const pod = await startPod(flake)
  const deleted = performance.now()
  await deletePod(pod)
  await expect.poll(() => listNixBuilds(cluster, pod.namespace), PATIENT).toEqual([])
  expect(performance.now() - deleted).toBeGreaterThan(2000)
  await expect.poll(() => flake.isBuilding(node), PATIENT).toBe(false)
  await waitUntilGone(pod)
  expect(await listNixBuilds(cluster, pod.namespace)).toEqual([])
})

test('a pod that takes its time to end does not keep its build going', async () => {
  const flake = await makeWish()
  const pod = await startPod(flake, { terminationGracePeriodSeconds: 600 })
  await deletePod(pod)
  await expect.poll(() => flake.isBuilding(node), PATIENT).toBe(false)
  // It had nothing to end: its container never started.
  await waitUntilGone(pod)
})

test('a build goes on that another pod wants, too', async () => {
  const [shared, single] = [await makeWish(), await makeWish()]
  const namespace = await cluster.createNamespace()
  const [first, second] = [await startPod(shared, { namespace }), await startPod(shared, { namespace })]
  const lonely = await startPod(single)
  await Promise.all([deletePod(first), deletePod(lonely)])
  // By then the grace time is over for both.
  await expect.poll(() => single.isBuilding(node), PATIENT).toBe(false)
  expect(await shared.isBuilding(node)).toBe(true)
  await shared.open()
  await waitForPhase(cluster, second, 'Running')
  await untilNixBuilds(cluster, namespace, { status: 'Succeeded' })
})

test('a build goes on that a pod of another namespace wants, too', async () => {
  const [shared, single] = [await makeWish(), await makeWish()]
  const [first, second] = [await startPod(shared), await startPod(shared)]
  const lonely = await startPod(single)
  await Promise.all([deletePod(first), deletePod(lonely)])
  await expect.poll(() => listNixBuilds(cluster, first.namespace), PATIENT).toEqual([])
  await expect.poll(() => single.isBuilding(node), PATIENT).toBe(false)
  expect(await shared.isBuilding(node)).toBe(true)
  await shared.open()
  await waitForPhase(cluster, second, 'Running')
  expect(await countBuilds(node.shim, shared.recipe.image)).toBe(1)
})

test('a pod that comes within the grace time takes the build of its predecessor over', async () => {
  const flake = await makeWish()
  const first = await startPod(flake)
  await deletePod(first)
  const second = await startPod(flake, { namespace: first.namespace })
  await flake.open()
  await waitForPhase(cluster, second, 'Running')
  expect(await countBuilds(node.shim, flake.recipe.image)).toBe(1)
})

test('a pod that comes after its build was cancelled has it built anew', async () => {
  const flake = await makeWish()
  const first = await startPod(flake)
  await deletePod(first)
  await expect.poll(() => flake.isBuilding(node), PATIENT).toBe(false)
  const second = await startPod(flake, { namespace: first.namespace })
  await flake.open()
  await waitForPhase(cluster, second, 'Running')
  await expect.poll(() => imageBuilt(cluster, second), PATIENT).toMatchObject({ status: 'True' })
})

test('a NixBuild made by hand is built to its end whatever becomes of the pods', async () => {
  const flake = await makeWish()
  const single = await makeWish()
  const namespace = await cluster.createNamespace()
  const { image: imageTag, ...spec } = flake.recipe
  await cluster.apply(nixBuildManifest(namespace, 'by-hand', { imageTag, ...spec }))
  await untilNixBuilds(cluster, namespace, { status: 'Building' })
  const pod = await startPod(flake, { namespace })
  const lonely = await startPod(single)
  await Promise.all([deletePod(pod), deletePod(lonely)])
  await expect.poll(() => single.isBuilding(node), PATIENT).toBe(false)
  expect(await flake.isBuilding(node)).toBe(true)
  await flake.open()
  await untilNixBuilds(cluster, namespace, { status: 'Succeeded' })
})

interface Wish extends Omit<GatedFlake, 'recipe'> {
  readonly recipe: PodRecipe
}

let wishes = 0
let pods = 0

async function makeWish(): Promise<Wish> {
  wishes += 1
  const flake = await makeGatedFlake(cluster)
  return { ...flake, recipe: flake.recipe(`registry.example/abandoned/image-${wishes}:1`) }
}

/** A pod whose image is being built when this resolves. */
async function startPod({ recipe, isBuilding }: Wish, plan: Partial<PodPlan> = {}): Promise<PodName> {
  pods += 1
  const pod = { namespace: plan.namespace ?? (await cluster.createNamespace()), name: `pod-${pods}` }
  const { image } = recipe
  await cluster.apply(podManifest({ node: node.name, image, recipe, command: SLEEP, ...plan, ...pod }))
  await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'False', reason: 'Building' })
  await expect.poll(() => isBuilding(node), PATIENT).toBe(true)
  return pod
}

async function deletePod({ namespace, name }: PodName): Promise<void> {
  await cluster.kubectl(['delete', 'pod', name, `--namespace=${namespace}`, '--wait=false'])
}

async function waitUntilGone({ namespace, name }: PodName): Promise<void> {
  await cluster.kubectl(['wait', '--for=delete', `pod/${name}`, `--namespace=${namespace}`, `--timeout=${PATIENCE}`])
}
