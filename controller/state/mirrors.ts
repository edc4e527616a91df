import type { Logger } from 'pino'
import type { Kind, Kube, Selection } from '../../kube/client/contract.ts'
import { createMirror, type Mirror, objectKey } from '../../kube/mirror.ts'
import { leases } from '../../kube/resources/lease.ts'
import { SYSTEM_NAMESPACE } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { type NixNode, nixNodes } from '../../kube/resources/nixnode.ts'
import { type NixBuildView, nixBuildView } from '../views/nixbuild.ts'
import type { NixNodeView } from '../views/nixnode.ts'
import { type NodeView, nodes } from '../views/node.ts'
import { type PodView, pods } from '../views/pod.ts'
import { type ShimLease, shimLeaseOf } from '../views/shim-lease.ts'
import type { KeptPod } from './pods.ts'

/** What is kept of the API server's objects. */
export interface Mirrors {
  readonly nodes: Mirror<NodeView>
  readonly leases: Mirror<ShimLease>
  readonly nixNodes: Mirror<NixNodeView>
  readonly builds: Mirror<NixBuildView>
  readonly pods: Mirror<KeptPod>
  /** Resolves once everything has been read, or the signal has aborted. */
  synced(): Promise<void>
  /** Kinds that have not been read yet. */
  unsynced(): string[]
  readonly ended: Promise<unknown>
}

export interface MirrorsOptions {
  readonly kube: Kube
  readonly viewOfNixNode: (nixNode: NixNode) => NixNodeView
  readonly keptOfPod: (key: string, pod: PodView) => KeptPod | undefined
  /** Called with the key of each object that has changed. */
  readonly onChange: Readonly<Record<'node' | 'lease' | 'nixNode' | 'build' | 'pod', (key: string) => void>>
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Pods that have ended need nothing. */
const UNFINISHED_PODS = { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' }

export function createMirrors(options: MirrorsOptions): Mirrors {
  const { kube, viewOfNixNode, keptOfPod, onChange, signal, logger } = options

  function mirror<T, P>(
    kind: Kind<T>,
    project: (object: T) => P | undefined,
    onChange: (key: string) => void,
    selection: Selection = {},
  ): Mirror<P> {
    return createMirror({ kube, kind, project, selection, onChange, signal, logger })
  }

  const mirrors = {
    nodes: mirror(nodes, node => node, onChange.node),
    leases: mirror(leases, shimLeaseOf, onChange.lease, { namespace: SYSTEM_NAMESPACE }),
    nixNodes: mirror(nixNodes, viewOfNixNode, onChange.nixNode),
    builds: mirror(nixBuilds, nixBuildView, onChange.build),
    pods: mirror(pods, pod => keptOfPod(objectKey(pod), pod), onChange.pod, UNFINISHED_PODS),
  }
  const all = {
    nodes: mirrors.nodes,
    leases: mirrors.leases,
    nixnodes: mirrors.nixNodes,
    nixbuilds: mirrors.builds,
    pods: mirrors.pods,
  }
  return {
    ...mirrors,
    synced: async () => {
      await Promise.all(Object.values(all).map(each => each.synced()))
    },
    unsynced: () => Object.entries(all).flatMap(([name, { isSynced }]) => (isSynced ? [] : [name])),
    ended: Promise.all(Object.values(all).map(({ ended }) => ended)),
  }
}
