import type { Kube } from '../../kube/client/contract.ts'
import { leases } from '../../kube/resources/lease.ts'
import { SYSTEM_NAMESPACE, shimLeaseName } from '../../kube/resources/names.ts'
import { nixNodes } from '../../kube/resources/nixnode.ts'
import { planNixNode } from '../plan/plan-nixnode.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import type { NixNodeView } from '../views/nixnode.ts'
import type { Reconciler } from './pod-reconciler.ts'
import { createSpecWriter } from './spec-writer.ts'

export interface NixNodeReconcilerOptions {
  readonly state: Pick<ClusterState, 'builds' | 'nodes' | 'nixNodes'>
  readonly kube: Pick<Kube, 'patch' | 'delete'>
  /** How long a NixNode and a Lease stay without their Node, in milliseconds. */
  readonly lostGraceMs: number
}

/**
 * Writes the owner of a NixNode and where its node looks for NixBuilds, and deletes one whose Node is gone, with the
 * Lease of the shim.
 */
export function createNixNodeReconciler({ state, kube, lostGraceMs }: NixNodeReconcilerOptions): Reconciler {
  const goneSince = new Map<string, number>()
  const specs = createSpecWriter({
    kube,
    partOf: ({ namespaces }) => ({ namespaces }),
    bodyOf: (name, { namespaces }) => ({
      metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid: state.nodes.uidOf(name) }] },
      spec: { namespaces },
    }),
  })

  async function reconcile(node: string): Promise<number | undefined> {
    const nixNode = state.nixNodes.get(node)
    const owner = state.nodes.uidOf(node)
    if (!nixNode) specs.forget(node)
    if (owner === undefined) return removeLater(node, nixNode?.deleting ? undefined : nixNode)
    goneSince.delete(node)
    if (!nixNode || nixNode.deleting) return undefined
    const spec = specs.read(nixNode)
    const next = planNixNode({ nixNode, spec, node: owner, namespaces: state.builds.namespacesByHand })
    if (next) await specs.write(nixNode, next)
    return undefined
  }

  async function removeLater(node: string, nixNode: NixNodeView | undefined): Promise<number | undefined> {
    const aliveUntil = state.nodes.aliveUntil(node)
    if (!nixNode && aliveUntil === undefined) {
      goneSince.delete(node)
      return undefined
    }
    const since = goneSince.get(node) ?? Date.now()
    goneSince.set(node, since)
    if (Date.now() < since + lostGraceMs) return since + lostGraceMs
    if (nixNode) await kube.delete(nixNodes, { name: node, uid: nixNode.uid })
    if (aliveUntil === undefined) return undefined
    // A living shim would only create its Lease again.
    if (Date.now() <= aliveUntil) return aliveUntil + 1
    await kube.delete(leases, { namespace: SYSTEM_NAMESPACE, name: shimLeaseName(node) })
    return undefined
  }

  return reconcile
}
