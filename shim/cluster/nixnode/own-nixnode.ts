import * as v from 'valibot'
import type { Kind } from '../../../kube/client/contract.ts'
import { metadataSchema } from '../../../kube/resources/metadata.ts'
import { nixNodeSpecSchema, nixNodes } from '../../../kube/resources/nixnode.ts'

const schema = v.object({ metadata: metadataSchema, spec: v.optional(nixNodeSpecSchema, {}) })

/** This node's NixNode without its status, which is long, and this shim's own. */
export const ownNixNodes: Kind<v.InferOutput<typeof schema>> = { ...nixNodes, parse: object => v.parse(schema, object) }
