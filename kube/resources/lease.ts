import * as v from 'valibot'
import type { Kind } from '../client/contract.ts'
import { metadataSchema } from './metadata.ts'

/** Longest duration of a shim's Lease. deploy/base/shim-admission.yaml also enforces it. */
export const MAX_SHIM_LEASE_MS = 600_000

const leaseSchema = v.object({
  metadata: metadataSchema,
  spec: v.optional(
    v.object({
      holderIdentity: v.nullish(v.string(), ''),
      leaseDurationSeconds: v.nullish(v.number(), 0),
      /** RFC 3339 with microseconds, like all times of a Lease. */
      acquireTime: v.nullish(v.string()),
      renewTime: v.nullish(v.string()),
      leaseTransitions: v.nullish(v.number(), 0),
    }),
    {},
  ),
})

export type Lease = v.InferOutput<typeof leaseSchema>

export const leases: Kind<Lease> = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
  parse: object => v.parse(leaseSchema, object),
}

/** `metav1.MicroTime` accepts exactly six fractional digits. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z')
}
