import type { AddNodeOptions } from './add-node.ts'
import { type Cluster, type OwnCluster, startCluster } from './cluster.ts'
import type { ClusterNode } from './node.ts'

/** A cluster as its users have it: with what `deploy/` ships, and nodes whose shims report. */
export interface WholeCluster extends Cluster {
  /** Its shim reports unless told otherwise. It ends with the cluster, if not before. */
  addNode(options?: AddNodeOptions): Promise<ClusterNode>
}

export interface OwnWholeCluster extends WholeCluster, Pick<OwnCluster, 'controlPlane'> {}

export interface WholeClusterOptions {
  /** Of the controller that runs all the time; without them there is none. */
  readonly controllerFlags?: readonly string[]
}

export async function startWholeCluster({ controllerFlags }: WholeClusterOptions = {}): Promise<OwnWholeCluster> {
  await using parts = new AsyncDisposableStack()
  const cluster = parts.use(await startCluster())
  await cluster.installDeploy()
  if (controllerFlags !== undefined) parts.use(await cluster.startController({ flags: controllerFlags }))
  return { ...cluster, ...keepingNodes(cluster, parts.move()) }
}

/** Nodes of a cluster that end with what there is besides. */
export function keepingNodes(
  cluster: Cluster,
  kept: AsyncDisposableStack,
): Pick<WholeCluster, 'addNode' | typeof Symbol.asyncDispose> {
  return {
    addNode: async options => kept.use(await cluster.addNode({ reports: true, ...options })),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
