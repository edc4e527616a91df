import { type NixBuildView, nixBuildView } from '../../controller/views/nixbuild.ts'
import { type NodeEntry, nixNodeView } from '../../controller/views/nixnode.ts'
import type { NodeState, NodeView } from '../../controller/views/node.ts'
import { type PodView, pods } from '../../controller/views/pod.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { type NodeBuild, nixNodes } from '../../kube/resources/nixnode.ts'

const METADATA = { namespace: 'team', uid: 'uid-1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
const SPEC = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }

export const ANNOTATIONS = {
  'enbi.hrzn.ee/nixbuild-flakeUrl': 'github:team/app',
  'enbi.hrzn.ee/nixbuild-imageTag': 'app:1',
  'enbi.hrzn.ee/nixbuild-packageName': 'app',
}

interface Parts {
  readonly metadata?: object
  readonly spec?: object
  readonly status?: object
}

/** A NixBuild of the API server, as the controller sees it. */
export function someBuild({ metadata, spec, status }: Parts = {}): NixBuildView {
  return nixBuildView(
    nixBuilds.parse({ metadata: { ...METADATA, name: 'app-1', ...metadata }, spec: { ...SPEC, ...spec }, status }),
  )
}

/** A Ready Node without labels, as the controller sees it. */
export const READY_NODE: NodeView = {
  name: 'node-1',
  uid: 'uid-1',
  system: SPEC.system,
  ready: true,
  schedulable: true,
  pressure: undefined,
  taints: [],
  labels: {},
  keep: { value: undefined, byUs: false },
}

/** A node that can build. */
export const GOOD_NODE: NodeState = {
  name: 'a',
  system: SPEC.system,
  ready: true,
  schedulable: true,
  pressure: undefined,
  taint: undefined,
  repelled: false,
  labels: {},
  shim: 'alive',
  fetchOnly: false,
}

/** An annotated Pod on node-1, as the controller sees it. */
export function somePod({ metadata, spec, status }: Parts = {}): PodView {
  return pods.parse({
    metadata: { ...METADATA, name: 'web', annotations: ANNOTATIONS, ...metadata },
    spec: { nodeName: 'node-1', containers: [{ name: 'app', image: 'app:1' }], ...spec },
    status,
  })
}

export const CREATED_FOR_PODS = { labels: { 'app.kubernetes.io/managed-by': 'enbi-controller' } }

/** What a node says about the recipe `key` of the namespace `team`, as the controller sees it. */
export function someEntry(node: string, build: Pick<NodeBuild, 'state'> & Partial<NodeBuild>): NodeEntry {
  const whole = { namespace: 'team', key: 'key', since: METADATA.creationTimestamp, ...build }
  const nixNode = nixNodes.parse({ metadata: { ...METADATA, name: node }, status: { builds: [whole] } })
  const [entry] = nixNodeView(nixNode, { ofRecipe: () => new Map(), isWatched: () => false, now: Date.now() }).entries
  if (entry === undefined) throw new Error('no entry')
  return entry
}

/** The expected part of a NixBuild's status that is not built yet, for this reason. */
export const pending = (reason: string, message: unknown) => ({
  status: 'Pending',
  conditions: [
    { type: 'Complete', status: 'False', reason, message },
    { type: 'Success', status: 'Unknown', reason, message },
  ],
})
