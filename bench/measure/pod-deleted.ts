import { setTimeout as delay } from 'node:timers/promises'
import { createKube } from '../../kube/client/client.ts'
import type { Kube, ObjectName } from '../../kube/client/contract.ts'
import { pods } from '../../kube/resources/pod.ts'
import { startCluster } from '../../test/cluster/cluster.ts'
import { makeGatedFlake } from '../../test/cluster/gated-flake.ts'
import { podManifest, SLEEP } from '../../test/cluster/pods.ts'
import { CONTROLLER_PROGRAM, SHIM_PROGRAM } from '../fixtures/node.ts'
import { isRunning } from '../fixtures/pods.ts'

const IMAGE = 'registry.example/bench/deleted:1'
/** Of the pod that is deleted. Its container never starts, so the kubelet does not wait for all of it. */
const GRACE_SECONDS = 2
const POLL_MS = 50
const LIMIT_MS = 300_000

/** Deletes a pod in mid-build while another pod of the node wants the same recipe. The build must serve the other one. */
export async function measurePodDeleted() {
  await using cluster = await startCluster()
  await cluster.installDeploy()
  await using _controller = await cluster.startController(CONTROLLER_PROGRAM)
  await using node = await cluster.addNode({ reports: true, shim: SHIM_PROGRAM })
  const flake = await makeGatedFlake(cluster)
  const namespace = await cluster.createNamespace()
  const plan = {
    namespace,
    image: IMAGE,
    node: node.name,
    recipe: flake.recipe(IMAGE),
    command: SLEEP,
    terminationGracePeriodSeconds: GRACE_SECONDS,
  }
  const names = ['deleted', 'other'].map(name => ({ namespace, name }))
  await cluster.apply(...names.map(({ name }) => podManifest({ ...plan, name })))
  await until(() => flake.isBuilding(node))
  const kube = createKube({ kubeconfig: cluster.adminKubeconfig })
  const [deleted = { namespace, name: '' }, other = deleted] = names
  try {
    const begin = performance.now()
    await kube.delete(pods, deleted)
    await until(async () => (await kube.get(pods, deleted)) === undefined)
    const seconds = (performance.now() - begin) / 1000
    if (!(await flake.isBuilding(node))) throw new Error('the build of the other pod has ended')
    await flake.open()
    await until(() => runs(kube, other))
    return { 'pod.deleted': Math.max(0, seconds - GRACE_SECONDS) }
  } finally {
    await kube.close()
  }
}

async function runs(kube: Kube, name: ObjectName): Promise<boolean> {
  const pod = await kube.get(pods, name)
  return pod !== undefined && isRunning(pod)
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + LIMIT_MS
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`it does not hold after ${LIMIT_MS / 1000} s`)
    await delay(POLL_MS)
  }
}
