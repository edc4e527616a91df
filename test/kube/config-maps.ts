import * as v from 'valibot'
import type { Kind } from '../../kube/client/contract.ts'
import { metadataSchema } from '../../kube/resources/metadata.ts'

/** A kind that accepts any content and that nothing else uses. */
export const configMaps: Kind<ConfigMap> = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
  parse: object => v.parse(schema, object),
}

const schema = v.object({
  metadata: metadataSchema,
  data: v.optional(v.record(v.string(), v.string()), {}),
})

export type ConfigMap = v.InferOutput<typeof schema>
/** Labels of the test's own objects: the cluster has other ConfigMaps in every namespace. */
export const OURS = { labels: { test: 'ours' } }
export const onlyOurs = { labelSelector: 'test=ours' }
