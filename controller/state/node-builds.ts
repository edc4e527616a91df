import { isDeepStrictEqual } from 'node:util'
import { isActive, type NodeEntry } from '../views/nixnode.ts'

/** What all nodes say about all recipes. */
export interface NodeBuilds {
  entry(id: string, node: string): NodeEntry | undefined
  /** By node. */
  ofRecipe(id: string): ReadonlyMap<string, NodeEntry>
  onNode(node: string): readonly NodeEntry[]
  /** The entries of all nodes. */
  all(): Iterable<NodeEntry>
  has(node: string): boolean
  /** Number of builds that the node works on. */
  activeOn(node: string): number
  /** Number of builds that all nodes work on. */
  readonly active: number
  /** Replaces the entries of a node; undefined removes it. Returns the `recipeId`s of those that have changed. */
  put(node: string, entries: readonly NodeEntry[] | undefined): string[]
}

const NONE: ReadonlyMap<string, NodeEntry> = new Map()
const NO_ENTRIES: readonly NodeEntry[] = []

export function createNodeBuilds(): NodeBuilds {
  const byNode = new Map<string, readonly NodeEntry[]>()
  const byRecipe = new Map<string, Map<string, NodeEntry>>()
  const activeByNode = new Map<string, number>()
  let active = 0

  function set(id: string, node: string, entry: NodeEntry): void {
    const nodes = byRecipe.get(id)
    if (nodes) nodes.set(node, entry)
    else byRecipe.set(id, new Map([[node, entry]]))
  }

  function remove(id: string, node: string): void {
    const nodes = byRecipe.get(id)
    nodes?.delete(node)
    if (nodes?.size === 0) byRecipe.delete(id)
  }

  function count(node: string, entries: readonly NodeEntry[]): void {
    const number = entries.filter(isActive).length
    active += number - (activeByNode.get(node) ?? 0)
    if (number > 0) activeByNode.set(node, number)
    else activeByNode.delete(node)
  }

  return {
    entry: (id, node) => byRecipe.get(id)?.get(node),
    ofRecipe: id => byRecipe.get(id) ?? NONE,
    onNode: node => byNode.get(node) ?? NO_ENTRIES,
    *all() {
      for (const entries of byNode.values()) yield* entries
    },
    has: node => byNode.has(node),
    activeOn: node => activeByNode.get(node) ?? 0,
    get active() {
      return active
    },
    put(node, entries) {
      const changed: string[] = []
      const gone = new Set((byNode.get(node) ?? NO_ENTRIES).map(({ id }) => id))
      for (const entry of entries ?? NO_ENTRIES) {
        gone.delete(entry.id)
        const before = byRecipe.get(entry.id)?.get(node)
        if (before === entry) continue
        set(entry.id, node, entry)
        if (!isDeepStrictEqual(before, entry)) changed.push(entry.id)
      }
      for (const id of gone) remove(id, node)
      if (entries) byNode.set(node, entries)
      else byNode.delete(node)
      count(node, entries ?? NO_ENTRIES)
      return [...changed, ...gone]
    },
  }
}
