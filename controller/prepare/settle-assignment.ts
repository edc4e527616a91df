import type { Selection } from '../plan/nixbuild-facts.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import type { NixBuildView } from '../views/nixbuild.ts'

/** A NixBuild that the specs of nodes name when a controller begins. They do not say which node got it for which purpose. */
export interface RestoredFacts {
  /** All of these nodes. */
  readonly nodes: Iterable<string>
  /** The one of its status. */
  readonly buildNode: string | undefined
  /** Whether the NixBuild selects the node to get its image ahead of pods. */
  readonly isSelected: (node: string) => boolean
  readonly isFetchOnly: (node: string) => boolean
}

/**
 * Finds out which node a NixBuild is assigned to, after this controller has begun. Only what the NixNodes have said is both
 * assigned and asked of one node.
 */
export function settleAssignment(
  key: string,
  { build, selection }: { readonly build: NixBuildView; readonly selection: Selection | undefined },
  { assignments, preparing, nodes }: Pick<ClusterState, 'assignments' | 'preparing' | 'nodes'>,
): void {
  const before = assignments.nodeOf(key)
  const recipe = assignments.recipeOf(key)
  const asked = preparing.nodesOf(key)
  if (before === undefined || recipe === undefined || !asked.has(before)) return
  const builder = chooseRestored({
    nodes: asked,
    buildNode: build.buildNode,
    isSelected: name => selection?.nodes.has(name) === true,
    isFetchOnly: name => nodes.state(name)?.fetchOnly === true,
  })
  // One that selects no nodes is on no other.
  const node = builder ?? (selection ? undefined : before)
  if (node === undefined) assignments.revoke(key)
  else if (node !== before) assignments.assign(key, { node, recipe })
  if (node !== undefined) preparing.take(key, node)
}

/**
 * The one node that builds it, while the others make it ahead of pods. A node that is selected needs no assignment.
 * Undefined: none does.
 */
export function chooseRestored({ nodes, buildNode, isSelected, isFetchOnly }: RestoredFacts): string | undefined {
  const builders = [...nodes].filter(node => !isSelected(node) && !isFetchOnly(node)).sort()
  return builders.find(node => node === buildNode) ?? builders[0]
}
