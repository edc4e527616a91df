import { SHIM, SYSTEM_NAMESPACE, shimLeaseName } from '../../kube/resources/names.ts'
import { startWorld } from '../../test/controller/world.ts'
import { startBed } from '../../test/node/bed.ts'
import { SHIM_PROGRAM } from '../fixtures/node.ts'
import { megabytesAtRest } from '../process.ts'

/** The resident memory of a shim that renews its Lease and watches at a real API server. */
export async function measureClusterMemory() {
  await using world = await startWorld()
  const { cluster } = world
  const nodeName = await world.addNode({ withoutShim: true })
  const token = await cluster.createToken({ namespace: SYSTEM_NAMESPACE, serviceAccount: SHIM, node: nodeName })
  const kubernetes = { kubeconfig: await cluster.kubeconfig({ token }), nodeName }
  await using bed = await startBed()
  const shim = await bed.startShim({ ...SHIM_PROGRAM, config: { kubernetes } })
  // Only a shim that has loaded its cluster part has a Lease.
  const lease = [`lease/${shimLeaseName(nodeName)}`, `--namespace=${SYSTEM_NAMESPACE}`]
  await cluster.kubectl(['wait', '--for=create', ...lease, '--timeout=60s'])
  return { 'rss.kubernetes': await megabytesAtRest(bed, shim) }
}
