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
 * The one node that builds it, while the others make it ahead of pods. A node that is selected needs no assignment.
 * Undefined: none does.
 */
export function settleAssignment({ nodes, buildNode, isSelected, isFetchOnly }: RestoredFacts): string | undefined {
  const builders = [...nodes].filter(node => !isSelected(node) && !isFetchOnly(node)).sort()
  return builders.find(node => node === buildNode) ?? builders[0]
}
