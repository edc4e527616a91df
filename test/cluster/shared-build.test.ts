import { afterAll, beforeAll, expect, test } from 'vitest'
import { PATIENT } from '../patience.ts'
import { listNixBuilds, untilNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import { countBuilds } from '../shim/pull/builds.ts'
import { readStatus } from '../shim/status/read-status.ts'
import { type GatedFlake, makeGatedFlake } from './gated-flake.ts'
import { imageBuilt } from './image-built.ts'
import type { ClusterNode } from './node.ts'
import { podEvents, podManifest, SLEEP, waitForPhase } from './pods.ts'
import { useWholeCluster } from './use-cluster.ts'
import type { WholeCluster } from './whole-cluster.ts'

const MAX_BUILDS = 3
/** One place is reserved for the next namespace. */
const PLACES = MAX_BUILDS - 1

let cluster: WholeCluster
let node: ClusterNode

beforeAll(async () => {
  const nix = { user: 'nobody', maxBuilds: MAX_BUILDS }
  cluster = await useWholeCluster()
  node = await cluster.addNode({ shim: { config: { nix } } })
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

test('ten concurrent pods with the same recipe share one Nix build, and all of them run', async () => {
  const flake = await makeGatedFlake(cluster)
  const recipe = flake.recipe('registry.example/shared/crowd:1')
  const namespace = await cluster.createNamespace()
  const pods = Array.from({ length: 10 }, (_, index) => ({ namespace, name: `crowd-${index}` }))
  const { image } = recipe
  await cluster.apply(...pods.map(pod => podManifest({ ...pod, node: node.name, image, recipe, command: SLEEP })))
  const started = async () => {
    const events = await Promise.all(pods.map(pod => podEvents(cluster, pod)))
    return events.filter(each => each.some(({ reason }) => reason === 'NixBuildStarted')).length
  }
  await expect.poll(started, PATIENT).toBe(pods.length)
  const { runs } = await readStatus(node.shim.socket)
  const waiters = pods.map(pod => expect.objectContaining({ namespace, pod: pod.name }))
  expect(runs).toMatchObject([{ image, waiting: pods.length, waiters: expect.arrayContaining(waiters) }])
  await flake.open()
  await Promise.all(pods.map(pod => waitForPhase(cluster, pod, 'Running')))
  expect(await countBuilds(node.shim, image)).toBe(1)
  await untilNixBuilds(cluster, namespace, { status: 'Succeeded' })
  for (const pod of pods) {
    await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True', reason: 'Built' })
    expect((await podEvents(cluster, pod)).map(({ reason }) => reason)).not.toContain('Failed')
  }
})

test('different recipes of a namespace build concurrently in all places but one, the next recipe waits, and all pods run', async () => {
  const namespace = await cluster.createNamespace()
  const prepared = await Promise.all(['one', 'two', 'three'].map(name => preparePod(namespace, name)))
  const building = async () => {
    const states = await Promise.all(prepared.map(({ flake }) => flake.isBuilding(node)))
    return prepared.filter((_, index) => states[index])
  }
  await cluster.apply(...prepared.map(({ manifest }) => manifest))
  await expect.poll(async () => (await building()).length, PATIENT).toBe(PLACES)
  await expect.poll(progressOf(namespace), PATIENT).toContain('waiting for a build to end')
  expect(await building()).toHaveLength(PLACES)

  const [first] = await building()
  await first?.flake.open()
  await expect.poll(progressOf(namespace), PATIENT).not.toContain('waiting for a build to end')
  const others = prepared.filter(one => one !== first)
  await expect.poll(building, PATIENT).toEqual(others)
  await Promise.all(others.map(({ flake }) => flake.open()))
  await Promise.all(prepared.map(({ pod }) => waitForPhase(cluster, pod, 'Running')))
})

async function preparePod(namespace: string, name: string) {
  const flake: GatedFlake = await makeGatedFlake(cluster)
  const recipe = flake.recipe(`registry.example/shared/${name}:1`)
  const pod = { namespace, name }
  const manifest = podManifest({ ...pod, node: node.name, image: recipe.image, recipe, command: SLEEP })
  return { pod, flake, manifest }
}

function progressOf(namespace: string): () => Promise<(string | undefined)[]> {
  return async () => (await listNixBuilds(cluster, namespace)).map(({ status }) => status.progress)
}
