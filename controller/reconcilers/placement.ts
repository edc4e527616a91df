import { namespaceOf } from '../../kube/mirror.ts'
import { NIXNODE_LIMITS } from '../../kube/resources/nixnode.ts'
import { type BuildToPlace, chooseNode } from '../plan/choose-node.ts'
import type { NodeChoice } from '../plan/nixbuild-facts.ts'
import { ASSIGNED_BYTES } from '../plan/plan-nixnode.ts'
import type { Assignments } from '../state/assignments.ts'
import type { Builds } from '../state/builds.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import type { NodeBuilds } from '../state/node-builds.ts'
import type { Nodes } from '../state/nodes.ts'
import { type NixBuildView, recipeId } from '../views/nixbuild.ts'
import type { NodeState } from '../views/node.ts'

/** Chooses the nodes of builds, and counts builds that are being assigned right now as running there. */
export interface Placement {
  choose(key: string, build: NixBuildView): NodeChoice
  begin(key: string, node: string): void
  end(key: string): void
  /** Number of builds of a namespace that are assigned or being assigned. */
  countIn(namespace: string): number
}

export interface PlacementState {
  readonly builds: Pick<Builds, 'get'>
  readonly nodes: Pick<Nodes, 'states'>
  readonly nodeBuilds: Pick<NodeBuilds, 'has' | 'activeOn' | 'entry'>
  readonly assignments: Pick<Assignments, 'onNode' | 'bytesOn' | 'countIn'>
  readonly nodeChanges: ClusterState['nodeChanges']
}

export function createPlacement(state: PlacementState): Placement {
  const { builds, nodes, nodeBuilds, assignments } = state
  const assigning = new Map<string, string>()
  /** Why no node can build, by system and labels: thousands of builds may ask after one change of a node. */
  const refusals = new Map<string, NodeChoice>()
  let changes = 0

  function choose(key: string, build: NixBuildView): NodeChoice {
    if (changes !== state.nodeChanges()) refusals.clear()
    changes = state.nodeChanges()
    const kind = JSON.stringify([build.system, build.nodeSelector])
    const known = refusals.get(kind)
    if (known) return known
    const choice = chooseNode(candidates(), placeOf(key, build))
    if ('none' in choice) refusals.set(kind, choice)
    return choice
  }

  function placeOf(key: string, { system, nodeSelector, namespace, recipe }: NixBuildView): BuildToPlace {
    return { system, nodeSelector, recipe: 'key' in recipe ? recipeId(namespace, recipe.key) : key, countRunning }
  }

  /** A node without a NixNode has an older shim, which gets no assigned builds. */
  function candidates(): NodeState[] {
    const all = nodes.states().map(node => (nodeBuilds.has(node.name) ? node : { ...node, shim: 'none' as const }))
    return all.filter(({ name }) => !isFull(name))
  }

  function isFull(node: string): boolean {
    const isOverfull = assignments.bytesOn(node) > ASSIGNED_BYTES.full
    return isOverfull || assignments.onNode(node).size >= NIXNODE_LIMITS.assigned
  }

  function countRunning(): (node: string) => number {
    const beginning = Map.groupBy(assigning.values(), node => node)
    return node => {
      const waiting = [...assignments.onNode(node)].filter(key => !isAtWork(key, node))
      return nodeBuilds.activeOn(node) + waiting.length + (beginning.get(node)?.length ?? 0)
    }
  }

  function isAtWork(key: string, node: string): boolean {
    const build = builds.get(key)
    if (!build || !('key' in build.recipe)) return false
    return nodeBuilds.entry(recipeId(build.namespace, build.recipe.key), node) !== undefined
  }

  return {
    choose,
    begin(key, node) {
      assigning.set(key, node)
    },
    end(key) {
      assigning.delete(key)
    },
    countIn: namespace =>
      assignments.countIn(namespace) + [...assigning.keys()].filter(key => namespaceOf(key) === namespace).length,
  }
}
