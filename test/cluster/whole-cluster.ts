import type { AddNodeOptions } from './add-node.ts'
import { type Cluster, startCluster } from './cluster.ts'
import type { ControlPlane } from './control-plane.ts'
import type { ClusterNode } from './node.ts'

/** A cluster of one's own as its users have it: with what `deploy/` ships, and nodes whose shims report. */
export interface WholeCluster extends Cluster {
  readonly controlPlane: ControlPlane
  /** Its shim reports unless told otherwise. It ends with the cluster, if not before. */
  addNode(options?: AddNodeOptions): Promise<ClusterNode>
}

export interface WholeClusterOptions {
  /** Of the controller that runs all the time; without them there is none. */
  readonly controllerFlags?: readonly string[]
}

export async function startWholeCluster({ controllerFlags }: WholeClusterOptions = {}): Promise<WholeCluster> {
  await using parts = new AsyncDisposableStack()
  const cluster = parts.use(await startCluster())
  await cluster.installDeploy()
  if (controllerFlags !== undefined) parts.use(await cluster.startController({ flags: controllerFlags }))
  const kept = parts.move()
  return {
    ...cluster,
    addNode: async options => kept.use(await cluster.addNode({ reports: true, ...options })),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
