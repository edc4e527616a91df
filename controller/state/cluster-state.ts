import type { Logger } from 'pino'
import type { Kind, Kube, Selection } from '../../kube/client/contract.ts'
import { createMirror, type Mirror, namespaceOf, objectKey } from '../../kube/mirror.ts'
import { leases } from '../../kube/resources/lease.ts'
import { SYSTEM_NAMESPACE, shimLeaseName } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { type NixNode, nixNodes } from '../../kube/resources/nixnode.ts'
import { nixBuildView, recipeId } from '../views/nixbuild.ts'
import { isActive, type NixNodeView, type NodeEntry, nixNodeView } from '../views/nixnode.ts'
import { type NodeRules, nodes as nodeKind } from '../views/node.ts'
import { pods as podKind } from '../views/pod.ts'
import { shimLeaseOf } from '../views/shim-lease.ts'
import { type Assignments, createAssignments } from './assignments.ts'
import { type Builds, createBuilds } from './builds.ts'
import { createNodeBuilds, type NodeBuilds } from './node-builds.ts'
import { createNodes, type Nodes } from './nodes.ts'
import { createPods, type Pods } from './pods.ts'
import { createWaitingBuilds } from './waiting-builds.ts'
import { workKey } from './work-keys.ts'

/** The NixNodes as the watch reports them, by name. */
export type NixNodes = Pick<Mirror<NixNodeView>, 'get'>

/** The controller's view of the cluster, kept up to date by watches. */
export interface ClusterState {
  readonly pods: Pods
  readonly builds: Builds
  readonly nodes: Nodes
  readonly nixNodes: NixNodes
  readonly nodeBuilds: NodeBuilds
  readonly assignments: Assignments
  /** Grows whenever other nodes may be able to take a build. */
  nodeChanges(): number
  /** Resolves once everything has been read, or the signal has aborted. */
  synced(): Promise<void>
  /** Kinds that have not been read yet. */
  unsynced(): string[]
  readonly ended: Promise<unknown>
}

export interface ClusterStateOptions extends NodeRules {
  readonly kube: Kube
  /** Called with the work key of each object to reconcile. */
  readonly onDue: (key: string) => void
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Pods that have ended need nothing. */
const UNFINISHED_PODS = { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' }

export function createClusterState({ kube, onDue, signal, logger, ...rules }: ClusterStateOptions): ClusterState {
  function mirror<T, P>(
    kind: Kind<T>,
    project: (object: T) => P | undefined,
    onChange: (key: string) => void,
    selection: Selection = {},
  ): Mirror<P> {
    return createMirror({ kube, kind, project, selection, onChange, signal, logger })
  }

  const nodes = createNodes({
    mirrored: node => nodeMirror.get(node),
    allMirrored: () => nodeMirror.values(),
    ...rules,
    onChange: onNode,
    now: Date.now,
  })
  const pods = createPods({
    mirrored: key => podMirror.get(key),
    keepLess: (key, kept) => podMirror.put(key, kept),
    systemOf: nodes.systemOf,
    recipesOf: id => builds.recipesOf(id),
    onPod: key => onDue(workKey('pod', key)),
    onRequest,
  })
  const builds = createBuilds({
    mirrored: key => buildMirror.get(key),
    allMirrored: () => buildMirror.values(),
    onUnconfirmedWrite: onBuild,
    onImage: pods.imageChanged,
    onNamespace,
    isSynced: () => buildMirror.isSynced,
    onNode: node => onDue(workKey('node', node)),
  })
  const nodeBuilds = createNodeBuilds()
  let nodeChanges = 0
  const assignments = createAssignments({ onNode: onAssignment, onRoom: namespace => waiting.roomIn(namespace) })
  const waiting = createWaitingBuilds({
    ...{ builds, assignments, signal },
    onBuild: key => onDue(workKey('build', key)),
  })

  const nodeMirror = mirror(nodeKind, node => node, onNodeObject)
  const nixNodeMirror = mirror(nixNodes, viewOfNixNode, onNixNode)
  const leaseMirror = mirror(leases, shimLeaseOf, onLease, { namespace: SYSTEM_NAMESPACE })
  const buildMirror = mirror(nixBuilds, nixBuildView, onBuild)
  const podMirror = mirror(podKind, pod => pods.kept(objectKey(pod), pod), onPod, UNFINISHED_PODS)
  const mirrors = {
    nodes: nodeMirror,
    leases: leaseMirror,
    nixnodes: nixNodeMirror,
    nixbuilds: buildMirror,
    pods: podMirror,
  }

  function viewOfNixNode(nixNode: NixNode): NixNodeView {
    return nixNodeView(nixNode, { ofRecipe: nodeBuilds.ofRecipe, isWatched: nodeBuilds.has, now: Date.now() })
  }

  function onLease(key: string): void {
    const prefix = `${SYSTEM_NAMESPACE}/${shimLeaseName('')}`
    const node = key.slice(prefix.length)
    nodes.leaseChanged(node, leaseMirror.get(key))
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
    for (const [node, entry] of nodeBuilds.ofRecipe(id)) if (entry.details.recipe) onDue(workKey('nixnode', node))
  }

  function onAssignment(node: string): void {
    nodeChanges += 1
    onDue(workKey('nixnode', node))
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
    if (node !== undefined && nodeBuilds.onNode(node).some(needsPods)) onDue(workKey('nixnode', node))
  }

  function onNodeObject(node: string): void {
    nodes.nodeChanged(node)
    onDue(workKey('node', node))
    onDue(workKey('nixnode', node))
  }

  function onNode(node: string, change: { readonly system: boolean }): void {
    nodeChanges += 1
    pods.nodeChanged(node, change)
    onDue(workKey('nixnode', node))
    waiting.nodeChanged(node)
    for (const entry of nodeBuilds.onNode(node)) if (isActive(entry)) onRecipe(entry.id)
  }

  function onNixNode(node: string): void {
    const view = nixNodeMirror.get(node)
    const isNew = nodeBuilds.has(node) !== (view !== undefined)
    const ids = new Set(nodeBuilds.put(node, view?.entries))
    assignments.restore(node, view?.spec.assigned)
    onDue(workKey('nixnode', node))
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
    for (const [name] of nixNodeMirror.entries()) onDue(workKey('nixnode', name))
  }

  return {
    pods,
    builds,
    nodes,
    nixNodes: nixNodeMirror,
    nodeBuilds,
    assignments,
    nodeChanges: () => nodeChanges,
    synced: async () => {
      await Promise.all(Object.values(mirrors).map(each => each.synced()))
    },
    unsynced: () => Object.entries(mirrors).flatMap(([name, { isSynced }]) => (isSynced ? [] : [name])),
    ended: Promise.all(Object.values(mirrors).map(({ ended }) => ended)),
  }
}

function needsPods({ details }: NodeEntry): boolean {
  return details.recipe !== undefined || details.pods.length > 0
}
