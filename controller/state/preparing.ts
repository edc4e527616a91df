import { namespaceOf } from '../../kube/mirror.ts'
import type { NixBuildRecipe } from '../../kube/resources/nixbuild.ts'
import type { AssignedView } from '../views/nixnode.ts'

/**
 * Which nodes make the images of which NixBuilds ahead of pods. Unlike an assigned NixBuild, such a one is on many nodes.
 * The NixNodes keep it: what they say counts when the controller begins, and what is here from then on.
 */
export interface Preparing {
  /** The nodes that have been asked. */
  nodesOf(key: string): ReadonlySet<string>
  recipeOf(key: string): NixBuildRecipe | undefined
  /** Keys of NixBuilds, in the order in which the node was asked. */
  onNode(node: string): ReadonlySet<string>
  /** Number in a namespace, each counted once for each of the nodes that count. */
  countIn(namespace: string, counts: (node: string) => boolean): number
  give(key: string, node: string, recipe: NixBuildRecipe): void
  take(key: string, node: string): void
  takeAll(key: string): void
  /**
   * Takes over what a NixNode says, of which only some may be meant for it. Only the first time counts. Undefined: the
   * NixNode is gone.
   */
  restore(node: string, assigned: readonly AssignedView[] | undefined): void
}

interface Prepared {
  readonly recipe: NixBuildRecipe
  readonly nodes: Set<string>
}

const NONE: ReadonlySet<string> = new Set()

/** `onNode` is called with the node whose builds have changed. */
export function createPreparing({ onNode }: { readonly onNode: (node: string) => void }): Preparing {
  const all = new Map<string, Prepared>()
  const byNode = new Map<string, Set<string>>()
  /** By namespace, the number of each node. */
  const counted = new Map<string, Map<string, number>>()
  const restored = new Set<string>()

  function add(key: string, node: string, recipe: NixBuildRecipe): boolean {
    const prepared = all.get(key) ?? { recipe, nodes: new Set() }
    if (prepared.nodes.has(node)) return false
    all.set(key, prepared)
    prepared.nodes.add(node)
    byNode.set(node, (byNode.get(node) ?? new Set()).add(key))
    count(key, node, 1)
    return true
  }

  function remove(key: string, node: string): void {
    const prepared = all.get(key)
    if (!prepared?.nodes.delete(node)) return
    if (prepared.nodes.size === 0) all.delete(key)
    const keys = byNode.get(node)
    keys?.delete(key)
    if (keys?.size === 0) byNode.delete(node)
    count(key, node, -1)
    onNode(node)
  }

  function count(key: string, node: string, change: 1 | -1): void {
    const namespace = namespaceOf(key)
    const numbers = counted.get(namespace) ?? new Map<string, number>()
    const number = (numbers.get(node) ?? 0) + change
    if (number === 0) numbers.delete(node)
    else numbers.set(node, number)
    if (numbers.size === 0) counted.delete(namespace)
    else counted.set(namespace, numbers)
  }

  function countIn(namespace: string, counts: (node: string) => boolean): number {
    let sum = 0
    for (const [node, number] of counted.get(namespace) ?? []) if (counts(node)) sum += number
    return sum
  }

  return {
    nodesOf: key => all.get(key)?.nodes ?? NONE,
    recipeOf: key => all.get(key)?.recipe,
    onNode: node => byNode.get(node) ?? NONE,
    countIn,
    give(key, node, recipe) {
      if (add(key, node, recipe)) onNode(node)
    },
    take: remove,
    takeAll(key) {
      for (const node of [...(all.get(key)?.nodes ?? NONE)]) remove(key, node)
    },
    restore(node, assigned) {
      if (assigned === undefined) {
        restored.delete(node)
        for (const key of [...(byNode.get(node) ?? NONE)]) remove(key, node)
      } else if (!restored.has(node)) {
        restored.add(node)
        for (const { key, recipe } of assigned) add(key, node, recipe)
      }
    },
  }
}
