import * as v from 'valibot'
import type { Kind } from '../../kube/contract.ts'
import { metadataSchema } from '../../kube/metadata.ts'
import { shimLeaseName } from '../../kube/names.ts'

/** How a shim tells that it lives. */
export interface ShimLease {
  /** Of the node. */
  readonly node: string
  /** RFC 3339, by the node's clock. */
  readonly renewTime: string
  readonly durationMs: number
}

const schema = v.object({
  metadata: metadataSchema,
  spec: v.optional(
    v.object({ renewTime: v.optional(v.string(), ''), leaseDurationSeconds: v.optional(v.number(), 0) }),
    {},
  ),
})

const PREFIX = shimLeaseName('')

/** All Leases; `undefined` for those of others. */
export const shimLeases: Kind<ShimLease | undefined> = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
  parse: object => {
    const { metadata, spec } = v.parse(schema, object)
    if (!metadata.name.startsWith(PREFIX)) return undefined
    const node = metadata.name.slice(PREFIX.length)
    return { node, renewTime: spec.renewTime, durationMs: spec.leaseDurationSeconds * 1000 }
  },
}
