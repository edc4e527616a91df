import type { Kube } from '../../kube/client/contract.ts'
import { namespaceOf } from '../../kube/mirror.ts'
import { CONTROLLER } from '../../kube/resources/names.ts'
import { nixNodes } from '../../kube/resources/nixnode.ts'
import { planNixNode } from '../plan/plan-nixnode.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import type { AssignedView, NixNodeSpecView, NixNodeView } from '../views/nixnode.ts'
import { createGonePods } from './gone-pods.ts'
import type { NodeRecipes } from './node-recipes.ts'
import type { Reconciler } from './pod-reconciler.ts'

export interface NixNodeReconcilerOptions {
  readonly state: Pick<ClusterState, 'pods' | 'builds' | 'nodes' | 'nixNodes' | 'nodeBuilds' | 'assignments'>
  readonly kube: Pick<Kube, 'get' | 'patch' | 'delete'>
  /** Creates the NixBuilds of recipes that only the node knows. */
  readonly createBuilds: NodeRecipes
  /** Reconciles the NixNode again at that time, also if this time fails. */
  readonly recheck: (node: string, time: number) => void
  /** How long a NixNode stays without its Node, in milliseconds. */
  readonly lostGraceMs: number
}

/** What this process has written. The watch may be behind. */
interface Written {
  readonly uid: string
  readonly generation: number
  readonly spec: NixNodeSpecView
}

/** Writes the spec of a NixNode and its owner, and deletes one whose Node is gone. */
export function createNixNodeReconciler(options: NixNodeReconcilerOptions): Reconciler {
  const { state, kube, createBuilds, recheck, lostGraceMs } = options
  const written = new Map<string, Written>()
  const goneSince = new Map<string, number>()
  const gonePods = createGonePods({ pods: state.pods, kube })

  async function reconcile(node: string): Promise<number | undefined> {
    const nixNode = state.nixNodes.get(node)
    const owner = state.nodes.uidOf(node)
    if (!nixNode || nixNode.deleting || owner !== undefined) goneSince.delete(node)
    if (!nixNode) {
      written.delete(node)
      gonePods.forget(node)
      return undefined
    }
    if (nixNode.deleting) return undefined
    if (owner === undefined) return removeLater(nixNode)
    const { uids, recheckAt } = await gonePods.of(nixNode)
    const spec = planNixNode({
      nixNode,
      spec: specOf(nixNode),
      node: owner,
      assigned: assignedTo(node),
      letGo: uids,
      namespaces: state.builds.namespacesByHand,
    })
    if (spec) await write(nixNode, owner, spec)
    if (recheckAt !== undefined) recheck(node, recheckAt)
    await createBuilds(node)
    return undefined
  }

  async function removeLater({ name, uid }: NixNodeView): Promise<number | undefined> {
    const since = goneSince.get(name) ?? Date.now()
    goneSince.set(name, since)
    if (Date.now() < since + lostGraceMs) return since + lostGraceMs
    await kube.delete(nixNodes, { name, uid })
    return undefined
  }

  function specOf({ name, uid, generation, spec }: NixNodeView): NixNodeSpecView {
    const own = written.get(name)
    return own?.uid === uid && generation < own.generation ? own.spec : spec
  }

  function assignedTo(node: string): AssignedView[] {
    return [...state.assignments.onNode(node)].flatMap(key => {
      const recipe = state.assignments.recipeOf(key)
      return recipe === undefined ? [] : [{ key, recipe }]
    })
  }

  async function write({ name, uid }: NixNodeView, owner: string, spec: NixNodeSpecView): Promise<void> {
    const body = {
      metadata: { uid, ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid: owner }] },
      spec: { ...spec, assigned: spec.assigned.map(({ key, recipe }) => ({ ...nameOf(key), recipe })) },
    }
    const options = { type: 'merge', fieldManager: CONTROLLER } as const
    const answer = await kube.patch(nixNodes, { name, body }, options)
    if (answer) written.set(name, { uid, generation: answer.metadata.generation, spec })
  }

  return reconcile
}

function nameOf(key: string) {
  const namespace = namespaceOf(key)
  return { namespace, name: key.slice(namespace.length + 1) }
}
