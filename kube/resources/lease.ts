import * as v from 'valibot'
import type { Kind } from '../client/contract.ts'
import { metadataSchema } from './metadata.ts'

/** Longest duration of a shim's Lease; deploy/base/shim-admission.yaml enforces it, too. */
export const MAX_SHIM_LEASE_MS = 600_000

const leaseSchema = v.object({
  metadata: metadataSchema,
  spec: v.optional(
    v.object({
      holderIdentity: v.nullish(v.string(), ''),
      leaseDurationSeconds: v.nullish(v.number(), 0),
      /** RFC 3339 with microseconds, as are all times of a Lease. */
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

/** Time of the clock on the wall, in milliseconds, at which the holder must have renewed it; undefined when nobody holds it. */
export function leaseEnd({ spec }: Lease): number | undefined {
  const renewed = Date.parse(spec.renewTime ?? '')
  if (!spec.holderIdentity || Number.isNaN(renewed)) return undefined
  return renewed + (spec.leaseDurationSeconds ?? 0) * 1000
}

/** `metav1.MicroTime` takes six digits and nothing else. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z')
}
