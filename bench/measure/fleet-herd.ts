import { setTimeout as delay } from 'node:timers/promises'
import { objectKey } from '../../kube/mirror.ts'
import { IMAGE_BUILT_CONDITION, SHIM, SYSTEM_NAMESPACE } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { nixNodes } from '../../kube/resources/nixnode.ts'
import { type Pod, pods } from '../../kube/resources/pod.ts'
import { annotationName } from '../../recipes/annotations.ts'
import { parseConfig } from '../../shim/config/config.ts'
import { startWorld, type World } from '../../test/controller/world.ts'
import { readApiServerMetrics } from '../fixtures/api-server-metrics.ts'
import { concurrently, range } from '../fixtures/crowd.ts'
import { type FleetNode, startFleetNode, type Tally } from '../fixtures/fleet-node.ts'
import { countOf, follow } from '../fixtures/follow.ts'
import { CONTROLLER_PROGRAM } from '../fixtures/node.ts'
import { FLEET } from '../fleet-size.ts'

const NODES = FLEET.herd
const BUILD_MS = 20_000
const REST_MS = 180_000
/** For the API server's work before there is a shim. */
const IDLE_MS = 60_000
/** The last writes of the herd are over by then. */
const SETTLE_MS = 20_000
const POLL_MS = 500
const LIMIT_MS = 600_000
const SPEC = {
  flakeUrl: 'github:team/herd',
  imageTag: 'registry.example/bench/herd:1',
  packageName: 'image',
  system: 'x86_64-linux',
}
const ANNOTATIONS = {
  [annotationName('imageTag')]: SPEC.imageTag,
  [annotationName('flakeUrl')]: SPEC.flakeUrl,
  [annotationName('packageName')]: SPEC.packageName,
}

/** Nodes whose pods all need one recipe begin, progress and finish at the same time. Then they rest. */
export async function measureHerd() {
  await using parts = new AsyncDisposableStack()
  const world = parts.use(await startWorld())
  const names = await concurrently(range(NODES), () => world.addNode({ withoutShim: true }))
  parts.use(await world.cluster.startController(CONTROLLER_PROGRAM))
  await delay(SETTLE_MS)
  const idle = await cpuMsPerMinute(world, IDLE_MS)
  const tally: Tally = { writes: 0, timeouts: 0 }
  const nodes = await concurrently(names, async node => parts.use(await startNode(world, node, tally)))
  await until(async () => (await countNixNodes(world)) === NODES)
  const namespace = await world.createNamespace()
  const podKeys = await concurrently(names, async node => {
    return objectKey(await world.addPod(namespace, node, { annotations: ANNOTATIONS, image: SPEC.imageTag }))
  })

  await using followed = follow(world.kube, { kind: pods, selection: { namespace }, project: pod => pod })
  const have = (holds: (pod: Pod) => boolean) => countOf(followed, holds) === NODES
  await until(async () => have(pod => conditionOf(pod) !== undefined))
  tally.timeouts = 0
  const before = await readApiServerMetrics(world.cluster)
  await Promise.all(nodes.map((node, index) => pull(node, followed.get(podKeys[index] ?? ''))))
  await until(async () => have(pod => conditionOf(pod)?.status === 'True'))
  await until(async () => (await readyNodes(world, namespace)) === NODES)
  const after = await readApiServerMetrics(world.cluster)
  const timeouts = tally.timeouts + after.timeouts - before.timeouts

  await delay(SETTLE_MS)
  tally.writes = 0
  const begin = performance.now()
  const resting = await cpuMsPerMinute(world, REST_MS)
  const minutes = (performance.now() - begin) / 60_000
  return {
    'fleet.herd.cpu': after.cpuSeconds - before.cpuSeconds,
    'fleet.herd.timeouts': timeouts,
    'fleet.rest.writes': tally.writes / NODES / minutes,
    'fleet.rest.cpu': (resting - idle) / NODES,
  }
}

async function cpuMsPerMinute({ cluster }: World, durationMs: number): Promise<number> {
  const before = await readApiServerMetrics(cluster)
  await delay(durationMs)
  const after = await readApiServerMetrics(cluster)
  return ((after.cpuSeconds - before.cpuSeconds) * 1000) / (durationMs / 60_000)
}

async function startNode({ cluster }: World, node: string, tally: Tally): Promise<FleetNode> {
  const token = await cluster.createToken({ namespace: SYSTEM_NAMESPACE, serviceAccount: SHIM, node })
  const kubeconfig = await cluster.kubeconfig({ token })
  const { kubernetes } = parseConfig('kubernetes: {}', 'config of the fleet')
  return startFleetNode({ node, kubeconfig, leaseMs: kubernetes?.leaseDuration ?? 0, tally })
}

async function pull(node: FleetNode, pod: Pod | undefined): Promise<void> {
  if (pod === undefined) throw new Error('a pod is missing')
  const { namespace = '', name, uid } = pod.metadata
  await node.pull({ namespace, name, uid }, recipeOf({ spec: SPEC }), BUILD_MS)
}

function conditionOf({ status }: Pod) {
  return status.conditions.find(({ type }) => type === IMAGE_BUILT_CONDITION)
}

async function countNixNodes({ kube }: World): Promise<number> {
  let count = 0
  await kube.list(nixNodes, {}, () => {
    count += 1
  })
  return count
}

async function readyNodes({ kube }: World, namespace: string): Promise<number> {
  let ready = 0
  await kube.list(nixBuilds, { namespace }, ({ status }) => {
    ready = status.ready?.count ?? 0
  })
  return ready
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + LIMIT_MS
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`the fleet has not got there after ${LIMIT_MS / 1000} s`)
    await delay(POLL_MS)
  }
}
