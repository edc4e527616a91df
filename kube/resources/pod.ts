import * as v from 'valibot'
import type { Kind } from '../client/contract.ts'
import { conditionSchema } from './condition.ts'
import { metadataSchema } from './metadata.ts'

const text = v.optional(v.string(), '')
const optionalText = v.optional(v.string())

const containers = v.optional(
  v.array(v.object({ name: v.string(), image: optionalText, imagePullPolicy: optionalText })),
  [],
)

const containerState = v.object({
  running: v.optional(v.looseObject({})),
  waiting: v.optional(v.object({ reason: text, message: text })),
})

const containerStatuses = v.optional(
  v.array(v.object({ name: v.string(), image: text, imageID: text, state: v.optional(containerState, {}) })),
  [],
)

const podSchema = v.object({
  metadata: metadataSchema,
  spec: v.object({
    nodeName: optionalText,
    nodeSelector: v.optional(v.record(v.string(), v.string()), {}),
    containers,
    initContainers: containers,
    ephemeralContainers: containers,
    volumes: v.optional(v.array(v.object({ image: v.optional(v.object({ reference: optionalText })) })), []),
  }),
  status: v.optional(
    v.object({
      phase: text,
      conditions: v.optional(v.array(conditionSchema), []),
      containerStatuses,
      initContainerStatuses: containerStatuses,
      ephemeralContainerStatuses: containerStatuses,
    }),
    {},
  ),
})

/** A Pod, reduced to the fields that the project reads. Users choose its size up to the API server's limit. */
export type Pod = v.InferOutput<typeof podSchema>

export const pods: Kind<Pod> = {
  apiVersion: 'v1',
  kind: 'Pod',
  plural: 'pods',
  namespaced: true,
  parse: object => v.parse(podSchema, object),
}
