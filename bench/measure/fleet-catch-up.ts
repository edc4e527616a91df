import { setTimeout as delay } from 'node:timers/promises'
import { IMAGE_BUILT_CONDITION } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { type NodeBuild, nixNodes } from '../../kube/resources/nixnode.ts'
import { type Pod, pods } from '../../kube/resources/pod.ts'
import { annotationName } from '../../recipes/annotations.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import { startControllerBehind, startCountingProxy } from '../../test/controller/counting-proxy.ts'
import { startWorld, type World } from '../../test/controller/world.ts'
import { readApiServerMetrics } from '../fixtures/api-server-metrics.ts'
import { concurrently, pick, range } from '../fixtures/crowd.ts'
import { countOf, follow } from '../fixtures/follow.ts'
import { CONTROLLER_PROGRAM } from '../fixtures/node.ts'
import { FLEET } from '../fleet-size.ts'
import { residentMegabytes } from '../process.ts'

const { nodes: NODES, pods: PODS, recipes: RECIPES } = FLEET
const PODS_PER_NODE = PODS / NODES
const NAMESPACES = 50
const POLL_MS = 1_000
const AWAY_MS = 30_000
/** All watches have come back by then, and the last of them continues. */
const SETTLE_MS = 20_000

/** A controller begins in a cluster whose nodes have every image, and then loses the API server for a while. */
export async function measureCatchUp() {
  await using world = await startWorld()
  await fill(world)
  return { ...(await catchUp(world)), 'fleet.relist': await relistShare(world) }
}

async function fill(world: World): Promise<void> {
  const namespaces = await concurrently(range(NAMESPACES), () => world.createNamespace())
  const nodes = await concurrently(range(NODES), () => world.addNode())
  await concurrently(range(NODES), async n => {
    const builds = range(PODS_PER_NODE).map(place => presentBuild(recipeOfPod(namespaces, n * PODS_PER_NODE + place)))
    const options = { type: 'merge', subresource: 'status', fieldManager: 'bench' } as const
    await world.kube.patch(nixNodes, { name: pick(nodes, n), body: { status: { builds } } }, options)
  })
  await concurrently(range(PODS), n => {
    const { namespace, spec } = recipeOfPod(namespaces, n)
    const annotations = {
      [annotationName('imageTag')]: spec.imageTag,
      [annotationName('flakeUrl')]: spec.flakeUrl,
      [annotationName('packageName')]: spec.packageName,
    }
    return world.addPod(namespace, pick(nodes, Math.floor(n / PODS_PER_NODE)), { annotations, image: spec.imageTag })
  })
}

/** All pods of a recipe are in one namespace. */
function recipeOfPod(namespaces: readonly string[], pod: number) {
  const recipe = pod % RECIPES
  const spec = {
    flakeUrl: `github:team/app-${recipe}`,
    imageTag: `registry.example/bench/app-${recipe}:1`,
    packageName: 'image',
    system: 'x86_64-linux',
  }
  return { namespace: pick(namespaces, recipe), spec }
}

function presentBuild({ namespace, spec }: ReturnType<typeof recipeOfPod>): NodeBuild {
  const key = recipeKey(recipeOf({ spec }))
  const image = { imageDigest: `sha256:${key}`, imageSize: 100_000_000 }
  return { namespace, key, state: 'Present', since: new Date().toISOString(), ...image, pods: [] }
}

async function catchUp(world: World) {
  const { kube, cluster } = world
  await using builds = follow(kube, { kind: nixBuilds, project: ({ status }) => status.ready?.count })
  await using allPods = follow(kube, { kind: pods, project: isBuilt })
  await Promise.all([builds.synced(), allPods.synced()])
  const before = await readApiServerMetrics(cluster)
  const begin = performance.now()
  await using controller = await cluster.startController({ ...CONTROLLER_PROGRAM, wait: false })
  while (countOf(builds, count => count === PODS / RECIPES) < RECIPES) await delay(POLL_MS)
  while (countOf(allPods, isBuilt => isBuilt) < PODS) await delay(POLL_MS)
  const seconds = (performance.now() - begin) / 1000
  return {
    'fleet.catchup': seconds,
    'fleet.catchup.cpu': (await readApiServerMetrics(cluster)).cpuSeconds - before.cpuSeconds,
    'fleet.controller.rss': await residentMegabytes(controller.daemon.pid, 'VmHWM'),
  }
}

function isBuilt({ status }: Pod): boolean {
  return status.conditions.some(each => each.type === IMAGE_BUILT_CONDITION && each.status === 'True')
}

/** What a controller reads after an outage, in which it loses the lead, in percent of what it reads when it begins. */
async function relistShare(world: World): Promise<number> {
  await using proxy = await startCountingProxy(world.cluster.access.server)
  await using _controller = await startControllerBehind(proxy, world.cluster, CONTROLLER_PROGRAM)
  await untilItWorks(world)
  const all = proxy.received
  proxy.cut()
  await delay(AWAY_MS)
  proxy.reconnect()
  const before = proxy.received
  await untilItWorks(world)
  return (100 * (proxy.received - before)) / all
}

/** A new pod gets its NixBuild. */
async function untilItWorks(world: World): Promise<void> {
  const namespace = await world.createNamespace()
  await world.addPod(namespace, await world.addNode())
  while ((await world.builds(namespace)).length === 0) await delay(POLL_MS)
  await delay(SETTLE_MS)
}
