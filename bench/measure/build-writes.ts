import { setTimeout as delay } from 'node:timers/promises'
import { createKube } from '../../kube/client/client.ts'
import { IMAGE_BUILT_CONDITION } from '../../kube/resources/names.ts'
import type { Pod } from '../../kube/resources/pod.ts'
import { type Cluster, startCluster } from '../../test/cluster/cluster.ts'
import { podManifest } from '../../test/cluster/pods.ts'
import { copyExample, lockExample } from '../../test/node/example.ts'
import { createAuditLog } from '../fixtures/audit-log.ts'
import { CONTROLLER_PROGRAM, SHIM_PROGRAM } from '../fixtures/node.ts'
import { createPodUntil, isRunning } from '../fixtures/pods.ts'

const WRITES: readonly string[] = ['create', 'update', 'patch', 'delete']

/** Some writes come late: an Event, for example, waits for others that it could be merged with. */
const AFTERWARDS_MS = 5000

/** Counts the writes of shim and controller for the build of one pod's image. Leases are excluded. */
export async function measureBuildWrites() {
  await using audit = await createAuditLog()
  await using cluster = await startCluster({ apiServerFlags: audit.flags })
  await cluster.installDeploy()
  await using _controller = await cluster.startController(CONTROLLER_PROGRAM)
  await using node = await cluster.addNode({ reports: true, shim: SHIM_PROGRAM })
  await untilJoined(cluster, node.name)
  const readWrites = async () =>
    (await audit.read()).filter(({ verb, resource }) => WRITES.includes(verb) && resource !== 'leases')
  const before = (await readWrites()).length
  const image = 'registry.example/bench/hello:1'
  const { url: flakeUrl } = await lockExample(await copyExample('hello', node.bed.dir), node.bed.run)
  const namespace = await cluster.createNamespace()
  const recipe = { image, flakeUrl, packageName: 'image' }
  const manifest = podManifest({ namespace, name: 'hello', image, node: node.name, recipe })
  const kube = createKube({ kubeconfig: cluster.adminKubeconfig })
  try {
    await createPodUntil(kube, { namespace, name: 'hello', manifest }, pod => hasRun(pod) && isReportedBuilt(pod))
  } finally {
    await kube.close()
  }
  await delay(AFTERWARDS_MS)
  const writes = (await readWrites()).slice(before)
  for (const { text } of writes) process.stderr.write(`  ${text}\n`)
  return { 'controller.writes.per.build': writes.length }
}

/** The node's first writes are those of a node that joins, not of a build. */
async function untilJoined(cluster: Cluster, node: string): Promise<void> {
  for (const what of ['create', 'jsonpath={.status.observedGeneration}'])
    await cluster.kubectl(['wait', `nixnode/${node}`, `--for=${what}`, '--timeout=60s'])
  await delay(AFTERWARDS_MS)
}

function hasRun(pod: Pod): boolean {
  return isRunning(pod) || pod.status.phase === 'Succeeded'
}

function isReportedBuilt({ status }: Pod): boolean {
  return status.conditions.some(({ type, status }) => type === IMAGE_BUILT_CONDITION && status === 'True')
}
