import type { Kube } from '../../kube/client/contract.ts'
import { type NixBuildRecipe, nixBuilds, recipeOnly } from '../../kube/resources/nixbuild.ts'
import type { Selection } from '../plan/nixbuild-facts.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { type NixBuildView, recipeId } from '../views/nixbuild.ts'
import { isActive, type NodeEntry } from '../views/nixnode.ts'
import type { NodeState } from '../views/node.ts'
import { planPreparing } from './plan-preparing.ts'

/** Has the nodes that NixBuilds select make their images. */
export interface NodePreparation {
  /** Undefined if the NixBuild selects none. */
  select(build: NixBuildView): Selection | undefined
  /** Asks and releases nodes. Returns when to do so again if nothing changes earlier. */
  prepare(key: string, build: NixBuildView, selection: Selection | undefined): Promise<number | undefined>
  forget(key: string): void
}

/** Nodes that make images for NixBuilds of one namespace at the same time. */
const MAX_IN_NAMESPACE = 200

export interface NodePreparationOptions {
  readonly state: Pick<ClusterState, 'nodes' | 'nodeBuilds' | 'assignments' | 'preparing'>
  readonly kube: Pick<Kube, 'get'>
}

export function createNodePreparation({ state, kube }: NodePreparationOptions): NodePreparation {
  const { nodes, nodeBuilds, assignments, preparing } = state
  /** When nodes were asked, by NixBuild. */
  const asking = new Map<string, { readonly uid: string; readonly askedAt: Map<string, number> }>()

  function forget(key: string): void {
    asking.delete(key)
    preparing.takeAll(key)
  }

  function select({ nodes: matches, system }: NixBuildView): Selection | undefined {
    if (!matches) return undefined
    const selected = nodes.states().filter(node => canTakePart(node, system) && matches(node.labels))
    return {
      nodes: new Map(selected.map(node => [node.name, node])),
      canBuild: selected.some(node => !node.fetchOnly),
    }
  }

  /** A node without a NixNode has an older shim, which is never asked anything. */
  function canTakePart({ name, system, shim, repelled }: NodeState, wanted: string): boolean {
    return system === wanted && shim !== 'none' && !repelled && nodeBuilds.has(name)
  }

  async function prepare(key: string, build: NixBuildView, selection: Selection | undefined) {
    if (!selection || build.deleting || !('key' in build.recipe)) {
      forget(key)
      return undefined
    }
    const times = timesOf(key, build, selection)
    const asked = preparing.nodesOf(key)
    const entries = nodeBuilds.ofRecipe(recipeId(build.namespace, build.recipe.key))
    const all = new Set([...selection.nodes.keys(), ...asked])
    const { ask, release, recheckAt } = planPreparing({
      nodes: Array.from(all, name => {
        const node = selection.nodes.get(name)
        return {
          name,
          selected: node !== undefined,
          able: node !== undefined && isAble(node),
          fetchOnly: node?.fetchOnly === true,
          entry: entries.get(name),
          isAsked: asked.has(name),
          askedAt: times.get(name),
        }
      }),
      bornAt: build.createdAt,
      room: MAX_IN_NAMESPACE - preparing.countIn(build.namespace, isAbleNode),
      now: Date.now(),
    })
    for (const node of release) preparing.take(key, node)
    if (ask.length > 0) await askNodes(key, build, ask)
    revokeNeedless(key, selection, entries)
    return recheckAt
  }

  /** Those that are lost may stay so for long, and do nothing meanwhile. */
  function isAbleNode(name: string): boolean {
    const node = nodes.state(name)
    return node !== undefined && isAble(node)
  }

  /** If a selected node can build, no other one needs to. One that has begun may finish. */
  function revokeNeedless(key: string, { canBuild }: Selection, entries: ReadonlyMap<string, NodeEntry>): void {
    const node = assignments.nodeOf(key)
    if (node === undefined || !canBuild) return
    const entry = entries.get(node)
    const hasBegun = entry !== undefined && isActive(entry)
    if (!hasBegun || preparing.nodesOf(key).has(node)) assignments.revoke(key)
  }

  /** Without the nodes that are not selected any more: a new node of that name begins again. */
  function timesOf(key: string, { uid }: NixBuildView, { nodes }: Selection): ReadonlyMap<string, number> {
    const last = asking.get(key)
    // Another NixBuild of that name has come in its place.
    if (last !== undefined && last.uid !== uid) forget(key)
    const { askedAt } = asking.get(key) ?? { askedAt: new Map<string, number>() }
    for (const node of askedAt.keys()) if (!nodes.has(node)) askedAt.delete(node)
    asking.set(key, { uid, askedAt })
    return askedAt
  }

  async function askNodes(key: string, build: NixBuildView, names: readonly string[]): Promise<void> {
    const recipe = preparing.recipeOf(key) ?? (await readRecipe(build))
    if (!recipe) return
    for (const node of names) {
      preparing.give(key, node, recipe)
      asking.get(key)?.askedAt.set(node, Date.now())
    }
  }

  /** The whole recipe is not kept in memory. Undefined if another NixBuild has come in its place. */
  async function readRecipe({ namespace, name, uid }: NixBuildView): Promise<NixBuildRecipe | undefined> {
    const found = await kube.get(nixBuilds, { namespace, name })
    return found?.metadata.uid === uid ? recipeOnly(found.spec) : undefined
  }

  return { select, prepare, forget }
}

/** A cordoned node gets images, too: it may soon be used. */
function isAble({ ready, pressure, shim }: NodeState): boolean {
  return ready && pressure === undefined && shim === 'alive'
}
