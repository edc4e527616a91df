import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { expect } from 'vitest'
import { createKube } from '../../../kube/client/client.ts'
import { type NixBuild, nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { type NixNode, type NodeBuild, nixNodes } from '../../../kube/resources/nixnode.ts'
import { writeKubeconfig } from '../../cluster/access.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import type { Bed } from '../../node/bed.ts'
import type { CriClient, Pull } from '../../node/cri.ts'
import { type PodRecipe, recipePull } from '../../node/recipe-pull.ts'
import type { Shim, ShimOptions } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'

/** A shim that is connected to a cluster as its own node, with the role from `deploy/`. */
export interface ConnectedShim extends AsyncDisposable {
  readonly shim: Shim
  readonly node: string
  readonly kubelet: CriClient
}

export interface TellingOptions {
  readonly kubernetes?: Readonly<Record<string, unknown>>
  readonly config?: Readonly<Record<string, unknown>>
  readonly shim?: ShimOptions
  /** URL that the shim uses for the API server. By default that of the cluster. */
  readonly server?: string
}

export async function startConnectedShim(
  cluster: Cluster,
  bed: Bed,
  options: TellingOptions = {},
): Promise<ConnectedShim> {
  const node = `node-${randomUUID().slice(0, 8)}`
  await cluster.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: node } })
  const token = await cluster.createToken({ namespace: 'enbi-system', serviceAccount: 'enbi-shim', node })
  const { server = cluster.access.server } = options
  const kubeconfig = await writeKubeconfig({ ...cluster.access, server }, { token })
  const kubernetes = { kubeconfig, nodeName: node, ...options.kubernetes }
  const shim = await bed.startShim({ ...options.shim, config: { ...options.config, kubernetes } })
  return {
    shim,
    node,
    kubelet: bed.cri(shim.socket),
    async [Symbol.asyncDispose]() {
      await shim.daemon.kill()
      await cluster.kubectl(['delete', `node/${node}`, `nixnode/${node}`, '--ignore-not-found', '--wait=false'])
    },
  }
}

/** Pulls like a kubelet for a pod of that namespace. */
export function podPull(namespace: string, recipe: PodRecipe, podName = 'web'): Pull {
  return { ...recipePull(recipe), namespace, podName }
}

export function nixBuildManifest(namespace: string, name: string, spec: object, labels: object = {}): object {
  const metadata = { name, namespace, labels }
  return { apiVersion: 'enbi.hrzn.ee/v1alpha1', kind: 'NixBuild', metadata, spec: { system: 'x86_64-linux', ...spec } }
}

/** All NixBuilds of the namespace, oldest first. */
export async function listNixBuilds(cluster: Cluster, namespace: string): Promise<NixBuild[]> {
  const { items } = v.parse(
    v.object({ items: v.array(v.unknown()) }),
    await cluster.read(`/apis/enbi.hrzn.ee/v1alpha1/namespaces/${namespace}/nixbuilds`),
  )
  const age = ({ metadata }: NixBuild) => metadata.creationTimestamp
  return items.map(nixBuilds.parse).toSorted((one, other) => age(one).localeCompare(age(other)))
}

/** Waits until the namespace has exactly one NixBuild with that status. */
export async function untilNixBuilds(cluster: Cluster, namespace: string, status: object): Promise<NixBuild[]> {
  await expect.poll(() => listNixBuilds(cluster, namespace), PATIENT).toMatchObject([{ status }])
  return listNixBuilds(cluster, namespace)
}

/** All NixNodes of that name: one, or none. */
export async function readNixNodes(cluster: Cluster, node: string): Promise<NixNode[]> {
  const { items } = v.parse(
    v.object({ items: v.array(v.unknown()) }),
    await cluster.read(`/apis/enbi.hrzn.ee/v1alpha1/nixnodes?fieldSelector=metadata.name%3D${node}`),
  )
  return items.map(nixNodes.parse)
}

/** What the node reports of a namespace, oldest first. */
export async function readBuilds(cluster: Cluster, node: string, namespace: string): Promise<NodeBuild[]> {
  const nixNodes = await readNixNodes(cluster, node)
  return nixNodes.flatMap(({ status }) => status.builds).filter(build => build.namespace === namespace)
}

/** Waits until the node reports exactly these builds of the namespace. */
export async function untilBuilds(
  cluster: Cluster,
  node: string,
  namespace: string,
  builds: readonly object[],
): Promise<NodeBuild[]> {
  await expect.poll(() => readBuilds(cluster, node, namespace), PATIENT).toMatchObject(builds)
  return readBuilds(cluster, node, namespace)
}

/** Writes the spec as the controller does. */
export async function writeSpec(cluster: Cluster, node: string, spec: object): Promise<void> {
  await expect.poll(() => readNixNodes(cluster, node), PATIENT).toHaveLength(1)
  await cluster.kubectl(['patch', 'nixnode', node, '--type=merge', `--patch=${JSON.stringify({ spec })}`])
}

export interface NixNodeWatch extends AsyncDisposable {
  /** Every state so far, oldest first. */
  readonly seen: readonly NixNode[]
}

/** Watches every write to a node's NixNode. */
export async function watchNixNode(cluster: Cluster, node: string): Promise<NixNodeWatch> {
  const kube = createKube({ kubeconfig: cluster.adminKubeconfig })
  const stop = new AbortController()
  const seen: NixNode[] = []
  const fieldSelector = `metadata.name=${node}`
  const resourceVersion = await kube.list(nixNodes, { fieldSelector }, () => {})
  const call = { fieldSelector, resourceVersion, longestMs: 60_000, signal: stop.signal }
  const watching = (async () => {
    for await (const event of kube.watch(nixNodes, call))
      if (event.type !== 'BOOKMARK') seen.push(nixNodes.parse(event.object))
  })()
  return {
    seen,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.allSettled([watching])
      await kube.close()
    },
  }
}

const eventSchema = v.object({
  type: v.string(),
  reason: v.string(),
  message: v.string(),
  involvedObject: v.object({ kind: v.string(), name: v.string(), uid: v.string() }),
})

/** The events of a pod. */
export async function eventsOf(cluster: Cluster, namespace: string, pod: string) {
  const events = await cluster.read(`/api/v1/namespaces/${namespace}/events`)
  const { items } = v.parse(v.object({ items: v.array(eventSchema) }), events)
  return items
    .filter(({ involvedObject: { kind, name, uid } }) => kind === 'Pod' && name === pod && uid === pod)
    .map(({ type, reason, message }) => ({ type, reason, message }))
}
