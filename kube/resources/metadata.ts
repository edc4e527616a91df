import * as v from 'valibot'

const ownerReferenceSchema = v.object({
  apiVersion: v.string(),
  kind: v.string(),
  name: v.string(),
  uid: v.string(),
  controller: v.optional(v.boolean(), false),
})

/** Metadata of all kinds, reduced to the fields that the project reads. */
export const metadataSchema = v.object({
  name: v.string(),
  namespace: v.optional(v.string()),
  uid: v.string(),
  resourceVersion: v.string(),
  generation: v.optional(v.number(), 0),
  /** RFC 3339. */
  creationTimestamp: v.string(),
  deletionTimestamp: v.optional(v.string()),
  labels: v.optional(v.record(v.string(), v.string()), {}),
  annotations: v.optional(v.record(v.string(), v.string()), {}),
  ownerReferences: v.optional(v.array(ownerReferenceSchema), []),
})

export type OwnerReference = v.InferOutput<typeof ownerReferenceSchema>
export type Metadata = v.InferOutput<typeof metadataSchema>

type Version = Pick<Metadata, 'resourceVersion'>

/** Negative if `a` was written before `b`. In Kubernetes, resource versions of one kind increase. */
export function compareVersions({ resourceVersion: a }: Version, { resourceVersion: b }: Version): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : Number(a > b)
}

/** `metav1.Time`: RFC 3339 in whole seconds, as the API server keeps it. `at` is in milliseconds since 1970. */
export function apiTime(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')
}
