import { namespaceOf } from '../../kube/mirror.ts'
import type { NixBuildRecipe } from '../../kube/resources/nixbuild.ts'
import { type AssignedView, sizeOfAssigned } from '../views/nixnode.ts'

/**
 * Which node builds which NixBuild, by decisions of the controller. The NixNodes keep them: what they say counts when
 * the controller begins, and what is here from then on.
 */
export interface Assignments {
  /** Of the assigned NixBuilds. */
  keys(): Iterable<string>
  nodeOf(key: string): string | undefined
  recipeOf(key: string): NixBuildRecipe | undefined
  /** Keys of NixBuilds, in order of assignment. */
  onNode(node: string): ReadonlySet<string>
  /** Size of the list of a node's builds in its NixNode. */
  bytesOn(node: string): number
  /** Number in a namespace. */
  countIn(namespace: string): number
  assign(key: string, assignment: Assignment): void
  /** Takes the NixBuild from its node. */
  revoke(key: string): void
  /**
   * Takes over what a NixNode says. Only the first time counts, as later the controller itself has written it.
   * Undefined: the NixNode is gone.
   */
  restore(node: string, assigned: readonly AssignedView[] | undefined): void
}

export interface Assignment {
  readonly node: string
  readonly recipe: NixBuildRecipe
}

export interface AssignmentsOptions {
  /** Called with the node whose builds have changed. */
  readonly onNode: (node: string) => void
  /** Called with the namespace in which there is room again. */
  readonly onRoom: (namespace: string) => void
}

const NONE: ReadonlySet<string> = new Set()

export function createAssignments({ onNode, onRoom }: AssignmentsOptions): Assignments {
  const all = new Map<string, Assignment>()
  const byNode = new Map<string, Set<string>>()
  const bytes = new Map<string, number>()
  const counts = new Map<string, number>()
  const restored = new Set<string>()

  function add(key: string, assignment: Assignment): void {
    const { node, recipe } = assignment
    all.set(key, assignment)
    bytes.set(node, (bytes.get(node) ?? 0) + sizeOfAssigned({ key, recipe }))
    byNode.set(node, (byNode.get(node) ?? new Set()).add(key))
    counts.set(namespaceOf(key), (counts.get(namespaceOf(key)) ?? 0) + 1)
  }

  function remove(key: string, { node, recipe }: Assignment): void {
    all.delete(key)
    bytes.set(node, (bytes.get(node) ?? 0) - sizeOfAssigned({ key, recipe }))
    const keys = byNode.get(node)
    keys?.delete(key)
    if (keys?.size === 0) for (const map of [byNode, bytes]) map.delete(node)
    const left = (counts.get(namespaceOf(key)) ?? 0) - 1
    if (left > 0) counts.set(namespaceOf(key), left)
    else counts.delete(namespaceOf(key))
    onNode(node)
  }

  return {
    keys: () => all.keys(),
    nodeOf: key => all.get(key)?.node,
    recipeOf: key => all.get(key)?.recipe,
    onNode: node => byNode.get(node) ?? NONE,
    bytesOn: node => bytes.get(node) ?? 0,
    countIn: namespace => counts.get(namespace) ?? 0,
    assign(key, assignment) {
      const before = all.get(key)
      if (before) remove(key, before)
      add(key, assignment)
      onNode(assignment.node)
    },
    revoke(key) {
      const before = all.get(key)
      if (!before) return
      remove(key, before)
      onRoom(namespaceOf(key))
    },
    restore(node, assigned) {
      if (assigned === undefined) restored.delete(node)
      if (assigned === undefined || restored.has(node)) return
      restored.add(node)
      for (const { key, recipe } of assigned) if (!all.has(key)) add(key, { node, recipe })
    },
  }
}
