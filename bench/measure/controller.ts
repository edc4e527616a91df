import { setTimeout as delay } from 'node:timers/promises'
import { IMAGE_BUILT_CONDITION } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { pods } from '../../kube/resources/pod.ts'
import { annotationName } from '../../recipes/annotations.ts'
import { startWorld, type World } from '../../test/controller/world.ts'
import { timed } from '../calls.ts'
import { concurrently, countIn, pick, range } from '../fixtures/crowd.ts'
import { CONTROLLER_PROGRAM } from '../fixtures/node.ts'
import { cpuMs, residentMegabytes } from '../process.ts'

const NODES = 500
const NAMESPACES = 20
const RECIPES = 1000
const PODS = 5000
const IDLE_MS = 60_000
/** A little more often than a shim with the default `leaseDuration`. */
const RENEW_EVERY_MS = 10_000

/** Starts a controller in a cluster full of pods. Nodes, pods and Leases are mere objects: no shim or kubelet runs. */
export async function measureController() {
  await using world = await startWorld()
  const { nodes, namespaces } = await fill(world)
  const begin = performance.now()
  await using controller = await world.cluster.startController({ ...CONTROLLER_PROGRAM, wait: false })
  await untilCaughtUp(world, namespaces)
  const catchup = (performance.now() - begin) / 1000
  const { pid } = controller.daemon
  const idle = await cpuShare(pid, () => renewLeases(world, nodes))
  return {
    'controller.catchup': catchup,
    'controller.rss': await residentMegabytes(pid, 'VmHWM'),
    'controller.idle.cpu': idle,
  }
}

async function fill(world: World): Promise<{ nodes: string[]; namespaces: string[] }> {
  const nodes = await concurrently(range(NODES), () => world.addNode())
  const namespaces = await concurrently(range(NAMESPACES), () => world.createNamespace())
  await concurrently(range(PODS), n => {
    const recipe = n % RECIPES
    const image = `registry.example/bench/app-${recipe}:1`
    const annotations = {
      [annotationName('imageTag')]: image,
      [annotationName('flakeUrl')]: `github:team/app-${recipe}`,
      [annotationName('packageName')]: 'image',
    }
    return world.addPod(pick(namespaces, recipe), pick(nodes, n), { annotations, image })
  })
  return { nodes, namespaces }
}

const POLL_MS = 1000

/** Waits for the NixBuild of each recipe, and then for the condition of each pod. Reading pods loads the API server: they are not read before. */
async function untilCaughtUp({ kube }: World, namespaces: readonly string[]): Promise<void> {
  while ((await countIn(kube, { kind: nixBuilds, namespaces }, () => true)) < RECIPES) await delay(POLL_MS)
  const hasCondition = (pod: ReturnType<typeof pods.parse>) =>
    pod.status.conditions.some(({ type }) => type === IMAGE_BUILT_CONDITION)
  for (const namespace of namespaces)
    while ((await countIn(kube, { kind: pods, namespaces: [namespace] }, hasCondition)) < PODS / NAMESPACES)
      await delay(POLL_MS)
}

/** Processors that the process uses while `work` runs. */
async function cpuShare(pid: number | undefined, work: () => Promise<unknown>): Promise<number> {
  const before = await cpuMs(pid)
  const elapsed = await timed(work)
  return ((await cpuMs(pid)) - before) / elapsed
}

/** Renews Leases as shims do, which is the load of a cluster at rest. */
async function renewLeases(world: World, nodes: readonly string[]): Promise<void> {
  const pauseMs = RENEW_EVERY_MS / nodes.length
  const rounds = IDLE_MS / RENEW_EVERY_MS
  for (let round = 0; round < rounds; round += 1)
    for (const node of nodes) await Promise.all([world.renewLease(node), delay(pauseMs)])
}
