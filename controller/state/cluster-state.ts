import type { Logger } from 'pino'
import type { Kind, Kube, Selection } from '../../kube/client/contract.ts'
import { createMirror, type Mirror, namespaceOf, objectKey } from '../../kube/mirror.ts'
import { leases } from '../../kube/resources/lease.ts'
import { SYSTEM_NAMESPACE, shimLeaseName } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { nixBuildView } from '../views/nixbuild.ts'
import { type NodeRules, nodes as nodeKind } from '../views/node.ts'
import { pods as podKind } from '../views/pod.ts'
import { shimLeaseOf } from '../views/shim-lease.ts'
import { type Builds, createBuilds } from './builds.ts'
import { createNodes, type Nodes } from './nodes.ts'
import { createPods, type Pods } from './pods.ts'

const KINDS = ['pod', 'build', 'namespace', 'node'] as const

/** Kind of object that a key of the work queue names. */
export type WorkKind = (typeof KINDS)[number]

/** The controller's view of the cluster, kept up to date by watches. */
export interface ClusterState {
  readonly pods: Pods
  readonly builds: Builds
  readonly nodes: Nodes
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

export function createClusterState({
  kube,
  repels,
  tolerations,
  onDue,
  signal,
  logger,
}: ClusterStateOptions): ClusterState {
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
    repels,
    tolerations,
    onChange: onNode,
    now: Date.now,
  })
  const pods = createPods({
    mirrored: key => podMirror.get(key),
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
    onNode: onBuilder,
  })

  const nodeMirror = mirror(
    nodeKind,
    node => node,
    node => {
      nodes.nodeChanged(node)
      onDue(workKey('node', node))
    },
  )
  const leaseMirror = mirror(leases, shimLeaseOf, onLease, { namespace: SYSTEM_NAMESPACE })
  const buildMirror = mirror(nixBuilds, nixBuildView, onBuild)
  const podMirror = mirror(podKind, pod => (pods.isKept(objectKey(pod), pod) ? pod : undefined), pods.changed)
  const mirrors = { nodes: nodeMirror, leases: leaseMirror, nixbuilds: buildMirror, pods: podMirror }

  function onLease(key: string): void {
    const prefix = `${SYSTEM_NAMESPACE}/${shimLeaseName('')}`
    nodes.leaseChanged(key.slice(prefix.length), leaseMirror.get(key))
  }

  function onBuild(key: string): void {
    const ids = builds.changed(key)
    onDue(workKey('build', key))
    onDue(workKey('namespace', namespaceOf(key)))
    for (const id of ids) for (const pod of pods.podsRequesting(id).keys()) onDue(workKey('pod', pod))
  }

  /** Takes a node, or its `nodeLabelValue`. */
  function onBuilder(node: string | undefined): void {
    if (node !== undefined) onDue(workKey('node', nodes.named(node) ?? node))
  }

  function onRequest(id: string): void {
    for (const build of builds.ofRecipe(id)) {
      onDue(workKey('build', `${build.namespace}/${build.name}`))
      onBuilder(build.buildNode ?? build.assignedTo)
    }
    onDue(workKey('namespace', namespaceOf(id)))
  }

  /** Any unfinished build may have been waiting for this change. */
  function onNode(node: string, change: { readonly system: boolean }): void {
    pods.nodeChanged(node, change)
    for (const build of nodes.has(node) ? builds.unfinished() : builds.all()) {
      onDue(workKey('build', `${build.namespace}/${build.name}`))
    }
  }

  return {
    pods,
    builds,
    nodes,
    synced: async () => {
      await Promise.all(Object.values(mirrors).map(each => each.synced()))
    },
    unsynced: () => Object.entries(mirrors).flatMap(([name, { isSynced }]) => (isSynced ? [] : [name])),
    ended: Promise.all(Object.values(mirrors).map(({ ended }) => ended)),
  }
}

/** Such as `pod:team/web`, `build:team/web-3f2a`, `namespace:team` or `node:worker-1`. */
export function workKey(kind: WorkKind, objectKey: string): string {
  return `${kind}:${objectKey}`
}

export function parseWorkKey(key: string): { readonly kind: WorkKind; readonly objectKey: string } {
  const colon = key.indexOf(':')
  const kind = KINDS.find(kind => kind === key.slice(0, colon))
  if (kind === undefined) throw new TypeError(`not a work key: ${key}`)
  return { kind, objectKey: key.slice(colon + 1) }
}

/** The namespace of the object, or else its name. */
export function namespaceOfWork(key: string): string {
  const { objectKey } = parseWorkKey(key)
  const slash = objectKey.indexOf('/')
  return slash < 0 ? objectKey : objectKey.slice(0, slash)
}
