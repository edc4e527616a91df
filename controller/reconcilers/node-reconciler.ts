import type { Kube } from '../../kube/client/contract.ts'
import { CONTROLLER, KEEP_NODE_ANNOTATION, KEPT_BY_US_ANNOTATION } from '../../kube/resources/names.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { type NixBuildView, recipeId } from '../views/nixbuild.ts'
import { isActive } from '../views/nixnode.ts'
import { type KeepAnnotations, nodes } from '../views/node.ts'
import type { Reconciler } from './pod-reconciler.ts'

export interface NodeReconcilerOptions {
  readonly state: Pick<ClusterState, 'pods' | 'builds' | 'nodes' | 'assignments' | 'nodeBuilds'>
  readonly kube: Pick<Kube, 'patch'>
}

/** Keeps the cluster autoscaler from removing nodes that build for others, and only those. */
export function createNodeReconciler({ state, kube }: NodeReconcilerOptions): Reconciler {
  return async name => {
    const keep = state.nodes.keepAnnotations(name)
    if (keep === undefined) return undefined
    const assigned = [...state.assignments.onNode(name)].flatMap(key => state.builds.get(key) ?? [])
    const isBuilder = [...state.builds.unfinishedOn(name), ...assigned].some(build => isNeededFor(name, build))
    const annotations = planKeeping(keep, isBuilder)
    if (annotations === undefined) return undefined
    await kube.patch(nodes, { name, body: { metadata: { annotations } } }, { type: 'merge', fieldManager: CONTROLLER })
    return undefined
  }

  /** A pod that waits on the node already keeps the node. The NixBuild learns of a result some seconds after the node's entry. */
  function isNeededFor(node: string, { namespace, recipe }: NixBuildView): boolean {
    if (!('key' in recipe)) return true
    const id = recipeId(namespace, recipe.key)
    const entry = state.nodeBuilds.entry(id, node)
    return !state.pods.isWaitedForOn(id, node) && (entry === undefined || isActive(entry))
  }
}

const VALUE = 'true'

/** Annotations to write; null removes one. */
type AnnotationChange = Readonly<Record<string, string | null>>

/**
 * Keeps the cluster autoscaler from removing a node: no pod there shows that it builds. A value that a user has set
 * stays. Undefined if there is nothing to write.
 */
export function planKeeping({ value, byUs }: KeepAnnotations, isBuilder: boolean): AnnotationChange | undefined {
  if (isBuilder && value === undefined) return { [KEEP_NODE_ANNOTATION]: VALUE, [KEPT_BY_US_ANNOTATION]: VALUE }
  if (!byUs || (isBuilder && value === VALUE)) return undefined
  return value === VALUE
    ? { [KEEP_NODE_ANNOTATION]: null, [KEPT_BY_US_ANNOTATION]: null }
    : { [KEPT_BY_US_ANNOTATION]: null }
}
