import type { ClusterNode } from '../../test/cluster/node.ts'
import { PATIENCE } from '../../test/patience.ts'
import type { Churn } from './churn.ts'
import { EVICTED_BELOW, type Soak } from './node.ts'
import { until } from './until.ts'

const BALLAST = '/nix/ballast'
/** Share of the disk, so that the removal of a few images is enough. */
const MISSING = 0.005

/**
 * Fills the disk until the kubelet removes images, which must leave all pods running. It refuses new pods meanwhile, whatever pulls
 * their images, so none is created.
 */
export async function fillDiskOnce({ cluster, node }: Soak, churn: Churn): Promise<void> {
  using _pause = await churn.pause()
  process.stderr.write(`  ${new Date().toISOString()} full disk\n`)
  // It removes no image that it has not seen before, and looks for images at its start.
  await node.kubelet.restart()
  // Else there may be garbage enough for the shim to free the space alone.
  await node.bed.run('nix-store', ['--gc'])
  const before = await imageCount(node)
  const { free, total } = await diskOf(node)
  const bytes = Math.max(0, Math.floor(free - (EVICTED_BELOW - MISSING) * total))
  await node.bed.run('fallocate', ['--length', String(bytes), BALLAST])
  await until(
    async () => {
      const now = await diskOf(node)
      return now.free / now.total > EVICTED_BELOW && (await imageCount(node)) < before
    },
    () => 'the disk stays full',
  )
  await node.bed.run('rm', [BALLAST])
  const isFree = ['--for=condition=DiskPressure=False', `node/${node.name}`, `--timeout=${PATIENCE}`]
  await cluster.kubectl(['wait', ...isFree])
}

async function imageCount({ bed }: ClusterNode): Promise<number> {
  return (await bed.cri().listImages()).length
}

async function diskOf({ bed }: ClusterNode): Promise<{ free: number; total: number }> {
  const { stdout } = await bed.run('stat', ['--file-system', '--format=%a %b %S', '/nix'])
  const [free = 0, total = 0, block = 0] = stdout.split(' ').map(Number)
  return { free: free * block, total: total * block }
}
