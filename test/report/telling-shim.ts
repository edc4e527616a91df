import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import type { NixBuild } from '../../kube/nixbuild.ts'
import { nixBuilds } from '../../kube/nixbuild.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Bed } from '../node/bed.ts'
import type { CriClient, Pull } from '../node/cri.ts'
import { type PodRecipe, recipePull } from '../node/recipe-pull.ts'
import type { Shim } from '../node/shim.ts'

/** A shim that tells a cluster, under the role that `deploy/` gives it, as a node of its own. */
export interface TellingShim {
  readonly shim: Shim
  readonly node: string
  readonly kubelet: CriClient
}

export interface TellingOptions {
  readonly kubernetes?: Readonly<Record<string, unknown>>
  readonly config?: Readonly<Record<string, unknown>>
}

export async function startTellingShim(cluster: Cluster, bed: Bed, options: TellingOptions = {}): Promise<TellingShim> {
  const node = `node-${randomUUID().slice(0, 8)}`
  await cluster.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: node } })
  const token = await cluster.createToken({ namespace: 'enbi-system', serviceAccount: 'enbi-shim', node })
  const kubeconfig = await cluster.kubeconfig({ token })
  const kubernetes = { kubeconfig, nodeName: node, ...options.kubernetes }
  const shim = await bed.startShim({ config: { ...options.config, kubernetes } })
  return { shim, node, kubelet: bed.cri(shim.socket) }
}

/** A pull as a kubelet makes it for a pod of that namespace. */
export function podPull(namespace: string, recipe: PodRecipe, podName = 'web'): Pull {
  return { ...recipePull(recipe), namespace, podName }
}

/** All of the namespace, oldest first. */
export async function listNixBuilds(cluster: Cluster, namespace: string): Promise<NixBuild[]> {
  const { items } = v.parse(
    v.object({ items: v.array(v.unknown()) }),
    await cluster.get('nixbuilds', `--namespace=${namespace}`, '--sort-by=.metadata.creationTimestamp'),
  )
  return items.map(nixBuilds.parse)
}

const eventSchema = v.object({
  type: v.string(),
  reason: v.string(),
  message: v.string(),
  involvedObject: v.object({ kind: v.string(), name: v.string(), uid: v.string() }),
})

export async function listEvents(cluster: Cluster, namespace: string) {
  const events = await cluster.get('events', `--namespace=${namespace}`)
  return v.parse(v.object({ items: v.array(eventSchema) }), events).items
}
