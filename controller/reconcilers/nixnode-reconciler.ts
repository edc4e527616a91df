import type { Kube } from '../../kube/client/contract.ts'
import { namespaceOf } from '../../kube/mirror.ts'
import { leases } from '../../kube/resources/lease.ts'
import { CONTROLLER, SYSTEM_NAMESPACE, shimLeaseName } from '../../kube/resources/names.ts'
import { type AssignedBuild, nixNodes } from '../../kube/resources/nixnode.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import { planNixNode } from '../plan/plan-nixnode.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import type { AssignedView, NixNodeSpecView, NixNodeView } from '../views/nixnode.ts'
import { createGonePods } from './gone-pods.ts'
import { type NodeRecipes, readRecipe } from './node-recipes.ts'
import type { Reconciler } from './pod-reconciler.ts'

export interface NixNodeReconcilerOptions {
  readonly state: Pick<ClusterState, 'pods' | 'builds' | 'nodes' | 'nixNodes' | 'nodeBuilds' | 'assignments'>
  readonly kube: Pick<Kube, 'get' | 'patch' | 'delete'>
  /** Creates the NixBuilds of recipes that only the node knows. */
  readonly createBuilds: NodeRecipes
  /** Reconciles the NixNode again at that time, also if this time fails. */
  readonly recheck: (node: string, time: number) => void
  /** How long a NixNode and a Lease stay without their Node, in milliseconds. */
  readonly lostGraceMs: number
}

/** What this process has written. The watch may be behind. */
interface Written {
  readonly uid: string
  readonly generation: number
  readonly spec: NixNodeSpecView
}

/** Writes the spec of a NixNode and its owner, and deletes one whose Node is gone, with the Lease of the shim. */
export function createNixNodeReconciler(options: NixNodeReconcilerOptions): Reconciler {
  const { state, kube, createBuilds, recheck, lostGraceMs } = options
  const written = new Map<string, Written>()
  const goneSince = new Map<string, number>()
  const gonePods = createGonePods({ pods: state.pods, kube })

  async function reconcile(node: string): Promise<number | undefined> {
    const nixNode = state.nixNodes.get(node)
    const owner = state.nodes.uidOf(node)
    if (!nixNode) {
      written.delete(node)
      gonePods.forget(node)
    }
    if (owner === undefined) return removeLater(node, nixNode?.deleting ? undefined : nixNode)
    goneSince.delete(node)
    if (!nixNode || nixNode.deleting) return undefined
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
      spec: { ...spec, assigned: spec.assigned.map(assignedBuild) },
    }
    const options = { type: 'merge', fieldManager: CONTROLLER } as const
    const answer = await kube.patch(nixNodes, { name, body }, options)
    if (answer) written.set(name, { uid, generation: answer.metadata.generation, spec })
  }

  return reconcile
}

function assignedBuild({ key: nixBuild, recipe: spec }: AssignedView): AssignedBuild {
  const namespace = namespaceOf(nixBuild)
  const recipe = readRecipe(spec)
  return { namespace, name: nixBuild.slice(namespace.length + 1), key: recipe && recipeKey(recipe), recipe: spec }
}
