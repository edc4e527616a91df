import type { AddNodeOptions } from './add-node.ts'
import { type Cluster, type OwnCluster, startCluster } from './cluster.ts'
import type { ClusterNode } from './node.ts'

/** A cluster with `deploy/` applied and nodes whose shims report, as users have it. */
export interface WholeCluster extends Cluster {
  /** Adds a node whose shim reports by default. The node ends at the latest with the cluster. */
  addNode(options?: AddNodeOptions): Promise<ClusterNode>
}

export interface OwnWholeCluster extends WholeCluster, Pick<OwnCluster, 'controlPlane'> {}

export interface WholeClusterOptions {
  /** Flags of the controller that runs as long as the cluster. By default no controller runs. */
  readonly controllerFlags?: readonly string[]
}

export async function startWholeCluster({ controllerFlags }: WholeClusterOptions = {}): Promise<OwnWholeCluster> {
  await using parts = new AsyncDisposableStack()
  const cluster = parts.use(await startCluster())
  await cluster.installDeploy()
  if (controllerFlags !== undefined) parts.use(await cluster.startController({ flags: controllerFlags }))
  return { ...cluster, ...endNodesWith(cluster, parts.move()) }
}

/** Makes nodes of the cluster end together with the other parts. */
export function endNodesWith(
  cluster: Cluster,
  kept: AsyncDisposableStack,
): Pick<WholeCluster, 'addNode' | typeof Symbol.asyncDispose> {
  return {
    addNode: async options => kept.use(await cluster.addNode({ reports: true, ...options })),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
