import * as v from 'valibot'
import type { Kind } from '../../../kube/client/contract.ts'

const text = v.optional(v.string(), '')

const podEventSchema = v.object({
  type: text,
  reason: text,
  message: text,
  lastTimestamp: v.optional(v.nullable(v.string())),
  eventTime: v.optional(v.nullable(v.string())),
})

/** The parts of a Pod's Event that the plugin shows. */
export type PodEvent = v.InferOutput<typeof podEventSchema>

export const podEvents: Kind<PodEvent> = {
  apiVersion: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
  parse: object => v.parse(podEventSchema, object),
}
