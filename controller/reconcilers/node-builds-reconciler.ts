import type { Kube } from '../../kube/client/contract.ts'
import { namespaceOf } from '../../kube/mirror.ts'
import type { AssignedBuild } from '../../kube/resources/nixnode.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import { planNodeBuilds } from '../plan/plan-nixnode.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import type { AssignedView } from '../views/nixnode.ts'
import { createGonePods } from './gone-pods.ts'
import { type NodeRecipes, readRecipe } from './node-recipes.ts'
import type { Reconciler } from './pod-reconciler.ts'
import { createSpecWriter } from './spec-writer.ts'

export interface NodeBuildsReconcilerOptions {
  readonly state: Pick<ClusterState, 'pods' | 'nodes' | 'nixNodes' | 'assignments' | 'preparing'>
  readonly kube: Pick<Kube, 'get' | 'patch'>
  /** Creates the NixBuilds of recipes that only the node knows. */
  readonly createBuilds: NodeRecipes
  /** Reconciles the node again at that time, also if this time fails. */
  readonly recheck: (node: string, time: number) => void
}

/** Writes to a NixNode what to build and which pods to release, and creates the NixBuilds of its node's recipes. */
export function createNodeBuildsReconciler(options: NodeBuildsReconcilerOptions): Reconciler {
  const { state, kube, createBuilds, recheck } = options
  const gonePods = createGonePods({ pods: state.pods, kube })
  const specs = createSpecWriter({
    kube,
    partOf: ({ assigned, letGo }) => ({ assigned, letGo }),
    bodyOf: (_, { assigned, letGo }) => ({
      spec: { assigned: assigned.map(assignedBuild), letGo },
    }),
  })

  function assignedTo(node: string): AssignedView[] {
    const { assignments, preparing } = state
    return Array.from(new Set([...assignments.onNode(node), ...preparing.onNode(node)])).flatMap(key => {
      const recipe = assignments.nodeOf(key) === node ? assignments.recipeOf(key) : preparing.recipeOf(key)
      return recipe === undefined ? [] : [{ key, recipe }]
    })
  }

  return async node => {
    const nixNode = state.nixNodes.get(node)
    if (!nixNode) {
      specs.forget(node)
      gonePods.forget(node)
    }
    if (!nixNode || nixNode.deleting || !state.nodes.has(node)) return undefined
    const { uids, recheckAt } = await gonePods.of(nixNode)
    const spec = planNodeBuilds(specs.read(nixNode), { assigned: assignedTo(node), letGo: uids })
    if (spec) await specs.write(nixNode, spec)
    if (recheckAt !== undefined) recheck(node, recheckAt)
    await createBuilds(node)
    return undefined
  }
}

function assignedBuild({ key: nixBuild, recipe: spec }: AssignedView): AssignedBuild {
  const namespace = namespaceOf(nixBuild)
  const recipe = readRecipe(spec)
  return { namespace, name: nixBuild.slice(namespace.length + 1), key: recipe && recipeKey(recipe), recipe: spec }
}
