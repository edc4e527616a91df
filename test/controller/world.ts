import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { createKube } from '../../kube/client/client.ts'
import type { Kind, Kube, ObjectName } from '../../kube/client/contract.ts'
import { microTime } from '../../kube/resources/lease.ts'
import { metadataSchema } from '../../kube/resources/metadata.ts'
import { SHIM, SYSTEM_NAMESPACE, shimLeaseName } from '../../kube/resources/names.ts'
import { type NixBuild, type NixBuildSpec, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { nixBuildOf, recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { type NixNode, type NodeBuild, nixNodes } from '../../kube/resources/nixnode.ts'
import { type Pod, pods } from '../../kube/resources/pod.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import { type Cluster, startCluster } from '../cluster/cluster.ts'
import type { ControlPlane } from '../cluster/control-plane.ts'
import { ANNOTATIONS } from './views.ts'

/** Flags of a controller that quickly takes over from one that was killed. */
export const QUICK_ELECTION = ['--leader-elect-lease=2s', '--leader-elect-renew=1500ms', '--leader-elect-retry=200ms']

/** A real API server with `deploy/` applied. The test creates nodes and pods, and writes what shims would write. */
export interface World extends AsyncDisposable {
  readonly cluster: Cluster & { readonly controlPlane: ControlPlane }
  /** An administrator's client. */
  readonly kube: Kube
  createNamespace(): Promise<string>
  /** Adds a Node, by default Ready, and the Lease of its shim. */
  addNode(options?: NodeOptions): Promise<string>
  /** As the shim of the node would do. */
  renewLease(node: string, options?: { readonly durationSeconds?: number; readonly renewTime?: Date }): Promise<void>
  /** As the shim of a node with `nix.build: never` says it. */
  setFetchOnly(node: string): Promise<void>
  setReady(node: string, status: 'True' | 'False' | 'Unknown'): Promise<void>
  setCondition(node: string, type: string, status: 'True' | 'False' | 'Unknown'): Promise<void>
  /** Merge patch of a Node. */
  changeNode(node: string, body: object): Promise<void>
  nodeAnnotations(node: string): Promise<Readonly<Record<string, string>>>
  removeNode(node: string): Promise<void>
  /** Adds an annotated pod that is bound to the node. */
  addPod(namespace: string, node: string, options?: PodOptions): Promise<ObjectName>
  pod(name: ObjectName): Promise<Pod | undefined>
  build(name: ObjectName): Promise<NixBuild | undefined>
  builds(namespace: string): Promise<NixBuild[]>
  /** Adds a NixBuild made by hand, by default with a random name. */
  addBuild(namespace: string, spec?: object, name?: string): Promise<ObjectName>
  /** Adds a NixBuild as a shim creates it for an image whose name is its recipe. */
  addNamedBuild(namespace: string, imageTag: string): Promise<ObjectName>
  /** Says in the NixNode what the node does about the recipe of a NixBuild, as its shim would do. */
  report(node: string, build: ObjectName, entry: Reported): Promise<void>
  /** The same for a recipe that may have no NixBuild. */
  reportRecipe(node: string, namespace: string, recipe: NixBuildSpec, entry: Reported): Promise<void>
  /** Removes what the node has said about the recipe of a NixBuild. */
  forget(node: string, build: ObjectName): Promise<void>
  nixNode(node: string): Promise<NixNode | undefined>
  /** The node whose NixNode assigns the NixBuild to it. */
  assignedNode(build: ObjectName): Promise<string | undefined>
  setPodStatus(pod: ObjectName, status: object): Promise<void>
  events(namespace: string): Promise<EventNow[]>
}

export interface NodeOptions {
  readonly labels?: Readonly<Record<string, string>>
  readonly arch?: string
  readonly ready?: boolean
  readonly unschedulable?: boolean
  readonly taints?: readonly object[]
  readonly withoutShim?: boolean
  /** Its shim builds nothing. */
  readonly fetchOnly?: boolean
}

/** An entry of a NixNode. */
export type Reported = Pick<NodeBuild, 'state'> & Partial<NodeBuild>

export interface PodOptions {
  readonly annotations?: Readonly<Record<string, string>>
  readonly image?: string
  readonly ownerReferences?: readonly object[]
  /** By default random. */
  readonly name?: string
  /** A pod with finalizers stays when it is deleted, as one does whose kubelet still waits. */
  readonly finalizers?: readonly string[]
}

const eventSchema = v.object({
  involvedObject: v.object({ kind: v.string(), name: v.string() }),
  type: v.string(),
  reason: v.string(),
  message: v.string(),
  count: v.optional(v.number(), 1),
})
export type EventNow = v.InferOutput<typeof eventSchema>
const events = kind<EventNow>('v1', 'Event', 'events', eventSchema)

const anything = v.unknown()
const nodeSchema = v.object({ metadata: metadataSchema })
const nodes = { ...kind('v1', 'Node', 'nodes', nodeSchema), namespaced: false }
const namespaces: Kind<unknown> = { ...kind('v1', 'Namespace', 'namespaces', anything), namespaced: false }
const serviceAccounts = kind('v1', 'ServiceAccount', 'serviceaccounts', anything)
const leases = kind('coordination.k8s.io/v1', 'Lease', 'leases', anything)

export async function startWorld(): Promise<World> {
  // Without kubelets, a controller manager would evict the pods.
  const cluster = await startCluster({ without: ['controllerManager', 'scheduler'] })
  await cluster.installDeploy()
  const kube = createKube({ kubeconfig: cluster.adminKubeconfig })
  const admin = { fieldManager: 'test' } as const
  /** What the shims say, by node and then by recipe. */
  const entries = new Map<string, Map<string, NodeBuild>>()

  /** As the shim does when it starts. */
  async function createNixNode(name: string): Promise<void> {
    if (entries.has(name)) return
    entries.set(name, new Map())
    await kube.create(nixNodes, { name, body: { spec: {} } })
  }

  async function writeEntries(name: string): Promise<void> {
    const builds = [...(entries.get(name)?.values() ?? [])]
    await kube.patch(
      nixNodes,
      { name, body: { status: { builds } } },
      { ...admin, type: 'merge', subresource: 'status' },
    )
  }

  const world: World = {
    cluster,
    kube,
    async createNamespace() {
      const name = `test-${randomUUID().slice(0, 8)}`
      await kube.create(namespaces, { name, body: {} })
      // A running controller manager creates it, too.
      await kube.patch(serviceAccounts, { namespace: name, name: 'default', body: {} }, { ...admin, type: 'apply' })
      return name
    },
    async addNode(options = {}) {
      const {
        labels = {},
        arch = 'amd64',
        ready = true,
        unschedulable = false,
        taints = [],
        withoutShim,
        fetchOnly,
      } = options
      const name = `node-${randomUUID().slice(0, 8)}`
      const metadata = { labels: { 'kubernetes.io/arch': arch, 'kubernetes.io/os': 'linux', ...labels } }
      await kube.create(nodes, { name, body: { metadata, spec: { unschedulable } } })
      // A controller manager would remove the taint that every new Node has.
      await world.changeNode(name, { spec: { taints } })
      if (!withoutShim) await world.renewLease(name)
      if (fetchOnly) await world.setFetchOnly(name)
      if (ready) await world.setReady(name, 'True')
      return name
    },
    async renewLease(node, { durationSeconds = 3600, renewTime = new Date() } = {}) {
      const spec = { holderIdentity: node, leaseDurationSeconds: durationSeconds, renewTime: microTime(renewTime) }
      const lease = { namespace: SYSTEM_NAMESPACE, name: shimLeaseName(node), body: { spec } }
      await kube.patch(leases, lease, { ...admin, type: 'apply' })
      await createNixNode(node)
    },
    async setFetchOnly(name) {
      const object = { name, body: { status: { store: { fetchOnly: true } } } }
      await kube.patch(nixNodes, object, { ...admin, type: 'merge', subresource: 'status' })
    },
    setReady: (name, status) => world.setCondition(name, 'Ready', status),
    async changeNode(name, body) {
      await kube.patch(nodes, { name, body }, { ...admin, type: 'merge' })
    },
    async nodeAnnotations(name) {
      return (await kube.get(nodes, { name }))?.metadata.annotations ?? {}
    },
    async setCondition(name, type, status) {
      const body = { status: { conditions: [{ type, status, reason: 'Test', message: '' }] } }
      await kube.patch(nodes, { name, body }, { ...admin, type: 'strategic', subresource: 'status' })
    },
    removeNode: name => kube.delete(nodes, { name }),
    async addPod(namespace, node, options = {}) {
      const { annotations = ANNOTATIONS, image = 'app:1', ownerReferences = [], finalizers = [] } = options
      const { name = `pod-${randomUUID().slice(0, 8)}` } = options
      const metadata = { annotations, ownerReferences, finalizers }
      const containers = [{ name: 'app', image }]
      const spec = { nodeName: node, containers, automountServiceAccountToken: false }
      await kube.create(pods, { namespace, name, body: { metadata, spec } })
      return { namespace, name }
    },
    pod: name => kube.get(pods, name),
    build: name => kube.get(nixBuilds, name),
    builds: namespace => listAll(kube, nixBuilds, namespace),
    async addBuild(namespace, spec = {}, name = `build-${randomUUID().slice(0, 8)}`) {
      const whole = {
        flakeUrl: 'github:team/app',
        imageTag: 'app:1',
        packageName: 'app',
        system: 'x86_64-linux',
        ...spec,
      }
      await kube.create(nixBuilds, { namespace, name, body: { spec: whole } })
      return { namespace, name }
    },
    async addNamedBuild(namespace, imageTag) {
      const spec = { flakeUrl: 'github:team/app', imageTag, packageName: 'app', system: 'x86_64-linux' }
      const build = nixBuildOf(recipeOf({ spec }), { namespace, managedBy: SHIM })
      await kube.create(nixBuilds, build)
      return { namespace, name: build.name }
    },
    async report(node, build, entry) {
      const { spec } = (await world.build(build)) ?? {}
      if (spec === undefined) throw new Error(`no NixBuild ${build.name}`)
      await world.reportRecipe(node, build.namespace ?? '', spec, entry)
    },
    async reportRecipe(node, namespace, recipe, entry) {
      const key = recipeKey(recipeOf({ spec: recipe }))
      const since = new Date().toISOString()
      const known = entry.state === 'Present' ? {} : { recipe }
      entries.get(node)?.set(`${namespace}/${key}`, { namespace, key, since, pods: [], ...known, ...entry })
      await writeEntries(node)
    },
    async forget(node, build) {
      const { spec } = (await world.build(build)) ?? {}
      if (spec) entries.get(node)?.delete(`${build.namespace}/${recipeKey(recipeOf({ spec }))}`)
      await writeEntries(node)
    },
    nixNode: name => kube.get(nixNodes, { name }),
    async assignedNode({ namespace, name }) {
      const found: string[] = []
      await kube.list(nixNodes, {}, ({ metadata, spec }) => {
        if (spec.assigned.some(each => each.namespace === namespace && each.name === name)) found.push(metadata.name)
      })
      return found.join() || undefined
    },
    async setPodStatus(pod, status) {
      await kube.patch(pods, { ...pod, body: { status } }, { ...admin, type: 'strategic', subresource: 'status' })
    },
    events: namespace => listAll(kube, events, namespace),
    async [Symbol.asyncDispose]() {
      await kube.close()
      await cluster[Symbol.asyncDispose]()
    },
  }
  return world
}

function kind<T>(apiVersion: string, kind: string, plural: string, schema: v.GenericSchema<unknown, T>): Kind<T> {
  return { apiVersion, kind, plural, namespaced: true, parse: object => v.parse(schema, object) }
}

async function listAll<T>(kube: Kube, kind: Kind<T>, namespace: string): Promise<T[]> {
  const found: T[] = []
  await kube.list(kind, { namespace }, item => found.push(item))
  return found
}
