import * as v from 'valibot'
import type { Kind, Kube, ObjectName } from '../kube/client/contract.ts'
import { conditionSchema } from '../kube/resources/condition.ts'
import { metadataSchema } from '../kube/resources/metadata.ts'

const podSchema = v.object({
  metadata: metadataSchema,
  status: v.object({
    phase: v.optional(v.string(), ''),
    conditions: v.optional(v.array(conditionSchema), []),
  }),
})

export type Pod = v.InferOutput<typeof podSchema>

export const pods: Kind<Pod> = {
  apiVersion: 'v1',
  kind: 'Pod',
  plural: 'pods',
  namespaced: true,
  parse: object => v.parse(podSchema, object),
}

export function isRunning({ status }: Pod): boolean {
  return status.phase === 'Running'
}

const LIMIT_MS = 60_000

/** Creates the pod and watches it until that holds. */
export async function createPodUntil(
  kube: Kube,
  { manifest, ...name }: ObjectName & { readonly manifest: object },
  holds: (pod: Pod) => boolean,
): Promise<void> {
  const { metadata } = await kube.create(pods, { ...name, body: manifest })
  const selection = { namespace: name.namespace, fieldSelector: `metadata.name=${name.name}` }
  const signal = AbortSignal.timeout(LIMIT_MS)
  const watch = kube.watch(pods, { ...selection, resourceVersion: metadata.resourceVersion, signal })
  for await (const event of watch) {
    if (event.type !== 'BOOKMARK' && holds(pods.parse(event.object))) return
  }
  throw new Error(`${name.name} takes too long`)
}
