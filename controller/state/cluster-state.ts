import type { Logger } from 'pino'
import type { Kube } from '../../kube/client/contract.ts'
import { type Mirror, namespaceOf, objectKey } from '../../kube/mirror.ts'
import { SYSTEM_NAMESPACE, shimLeaseName } from '../../kube/resources/names.ts'
import { recipeId } from '../views/nixbuild.ts'
import { isActive, type NixNodeView, type NodeEntry, nixNodeView } from '../views/nixnode.ts'
import type { NodeRules } from '../views/node.ts'
import { type Assignments, createAssignments } from './assignments.ts'
import { type Builds, createBuilds } from './builds.ts'
import { createMirrors } from './mirrors.ts'
import { createNodeBuilds, type NodeBuilds } from './node-builds.ts'
import { createNodes, type Nodes } from './nodes.ts'
import { createPods, type Pods } from './pods.ts'
import { createPreparing, type Preparing } from './preparing.ts'
import { createWaitingBuilds } from './waiting-builds.ts'
import { workKey } from './work-keys.ts'

/** The NixNodes as the watch reports them, by name. */
export type NixNodes = Pick<Mirror<NixNodeView>, 'get' | 'values'>

/** The controller's view of the cluster, kept up to date by watches. */
export interface ClusterState {
  readonly pods: Pods
  readonly builds: Builds
  readonly nodes: Nodes
  readonly nixNodes: NixNodes
  readonly nodeBuilds: NodeBuilds
  readonly assignments: Assignments
  readonly preparing: Preparing
  /** Grows whenever other nodes may be able to take a build. */
  nodeChanges(): number
  /**
   * Calls the function with the work key of each object, and from then on of each that is to be reconciled. Undefined:
   * nobody reconciles.
   */
  deliverTo(onDue: ((key: string) => void) | undefined): void
  /** Resolves once everything has been read, or the signal has aborted. */
  synced(): Promise<void>
  /** Kinds that have not been read yet. */
  unsynced(): string[]
  readonly ended: Promise<unknown>
}

export interface ClusterStateOptions extends NodeRules {
  readonly kube: Kube
  /** Ends the watches. */
  readonly signal: AbortSignal
  readonly logger: Logger
}

export function createClusterState({ kube, signal, logger, ...rules }: ClusterStateOptions): ClusterState {
  let onDue: (key: string) => void = () => {}

  const nodes = createNodes({
    mirrored: node => mirrors.nodes.get(node),
    allMirrored: () => mirrors.nodes.values(),
    isFetchOnly: node => mirrors.nixNodes.get(node)?.fetchOnly === true,
    ...rules,
    onChange: onNode,
    now: Date.now,
  })
  const pods = createPods({
    mirrored: key => mirrors.pods.get(key),
    allMirrored: () => mirrors.pods.entries(),
    keepLess: (key, kept) => mirrors.pods.put(key, kept),
    systemOf: nodes.systemOf,
    recipesOf: id => builds.recipesOf(id),
    onPod: key => onDue(workKey('pod', key)),
    onRequest,
  })
  const builds = createBuilds({
    mirrored: key => mirrors.builds.get(key),
    allMirrored: () => mirrors.builds.values(),
    onUnconfirmedWrite: onBuild,
    onImage: pods.imageChanged,
    onNamespace,
    isSynced: () => mirrors.builds.isSynced,
    onNode: node => onDue(workKey('node', node)),
  })
  const nodeBuilds = createNodeBuilds()
  let nodeChanges = 0
  const assignments = createAssignments({ onNode: onAssignment, onRoom: namespace => waiting.roomIn(namespace) })
  const preparing = createPreparing({ onNode: node => onDue(workKey('nodebuilds', node)) })
  const waiting = createWaitingBuilds({
    ...{ builds, assignments, signal },
    onBuild: key => onDue(workKey('build', key)),
  })

  const mirrors = createMirrors({
    ...{ kube, signal, logger },
    viewOfNixNode: nixNode =>
      nixNodeView(nixNode, { ofRecipe: nodeBuilds.ofRecipe, isWatched: nodeBuilds.has, now: Date.now() }),
    keptOfPod: pods.kept,
    onChange: { node: onNodeObject, lease: onLease, nixNode: onNixNode, build: onBuild, pod: onPod },
  })

  function onLease(key: string): void {
    const node = nodeOfLease(key)
    nodes.leaseChanged(node, mirrors.leases.get(key))
    // Nothing else reports a Lease whose Node has gone before.
    if (!nodes.has(node)) onDue(workKey('nixnode', node))
  }

  function onBuild(key: string): void {
    const ids = builds.changed(key)
    onDue(workKey('build', key))
    onDue(workKey('namespace', namespaceOf(key)))
    for (const id of ids) {
      for (const pod of pods.podsRequesting(id).keys()) onDue(workKey('pod', pod))
      if (builds.ofRecipe(id).length === 0) onLostBuild(id)
    }
  }

  /** Only the nodes know the recipe of an image whose name is its recipe. */
  function onLostBuild(id: string): void {
    for (const [node, entry] of nodeBuilds.ofRecipe(id)) if (entry.details.recipe) onDue(workKey('nodebuilds', node))
  }

  function onAssignment(node: string): void {
    nodeChanges += 1
    onDue(workKey('nodebuilds', node))
    onDue(workKey('node', node))
  }

  function onRequest(id: string): void {
    onRecipe(id)
    for (const build of builds.ofRecipe(id)) {
      const node = assignments.nodeOf(objectKey(build)) ?? build.buildNode
      if (node !== undefined) onDue(workKey('node', node))
    }
    onDue(workKey('namespace', namespaceOf(id)))
  }

  function onRecipe(id: string): void {
    for (const build of builds.ofRecipe(id)) onDue(workKey('build', objectKey(build)))
  }

  /** The pods of a node may be gone, or may need a NixBuild that only the node knows. */
  function onPod(key: string): void {
    const before = pods.nodeOf(key)
    pods.changed(key)
    const node = pods.nodeOf(key) ?? before
    if (node !== undefined && nodeBuilds.onNode(node).some(needsPods)) onDue(workKey('nodebuilds', node))
  }

  function onNodeObject(node: string): void {
    nodes.nodeChanged(node)
    for (const kind of ['node', 'nixnode', 'nodebuilds'] as const) onDue(workKey(kind, node))
  }

  function onNode(node: string, change: { readonly system: boolean }): void {
    nodeChanges += 1
    pods.nodeChanged(node, change)
    onDue(workKey('nixnode', node))
    waiting.nodeChanged(node)
    for (const entry of nodeBuilds.onNode(node)) if (isActive(entry)) onRecipe(entry.id)
  }

  function onNixNode(node: string): void {
    const view = mirrors.nixNodes.get(node)
    const isNew = nodeBuilds.has(node) !== (view !== undefined)
    const ids = new Set(nodeBuilds.put(node, view?.entries))
    nodes.nodeChanged(node)
    assignments.restore(node, view?.spec.assigned)
    preparing.restore(node, view?.spec.assigned)
    for (const kind of ['nixnode', 'nodebuilds'] as const) onDue(workKey(kind, node))
    // One that was deleted while no controller led has no event.
    for (const { key } of view?.spec.assigned ?? []) if (!builds.get(key)) onDue(workKey('build', key))
    if (isNew) onNewNixNode(node)
    if (ids.size === 0) return
    for (const id of ids) onRecipe(id)
    for (const pod of pods.onNode(node)) {
      const { requests } = pods.requestsOf(pod)
      if (requests.some(({ key }) => ids.has(recipeId(namespaceOf(pod), key)))) onDue(workKey('pod', pod))
    }
  }

  function onNewNixNode(node: string): void {
    nodeChanges += 1
    waiting.nodeChanged(node)
  }

  /** The shims look for NixBuilds only in the namespaces that their NixNodes name. */
  function onNamespace(): void {
    for (const [name] of mirrors.nixNodes.entries()) onDue(workKey('nixnode', name))
  }

  function* allKeys(): Iterable<string> {
    for (const [node] of mirrors.nodes.entries()) yield* [workKey('node', node), workKey('nixnode', node)]
    for (const [node] of mirrors.nixNodes.entries()) yield* [workKey('nixnode', node), workKey('nodebuilds', node)]
    for (const [lease] of mirrors.leases.entries()) yield workKey('nixnode', nodeOfLease(lease))
    for (const key of assignments.keys()) yield workKey('build', key)
    for (const [key] of mirrors.builds.entries()) yield* [workKey('build', key), workKey('namespace', namespaceOf(key))]
    for (const key of pods.toReconcile()) yield workKey('pod', key)
  }

  return {
    pods,
    builds,
    nodes,
    nixNodes: mirrors.nixNodes,
    nodeBuilds,
    assignments,
    preparing,
    nodeChanges: () => nodeChanges,
    deliverTo(next) {
      onDue = next ?? (() => {})
      if (next) for (const key of allKeys()) next(key)
    },
    synced: mirrors.synced,
    unsynced: mirrors.unsynced,
    ended: mirrors.ended,
  }
}

const LEASE_PREFIX = `${SYSTEM_NAMESPACE}/${shimLeaseName('')}`

function nodeOfLease(key: string): string {
  return key.slice(LEASE_PREFIX.length)
}

function needsPods({ details }: NodeEntry): boolean {
  return details.recipe !== undefined || details.pods.length > 0
}
