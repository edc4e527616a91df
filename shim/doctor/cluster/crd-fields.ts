import * as v from 'valibot'
import { NIXBUILD_FIELDS } from '../../../kube/resources/nixbuild.ts'

const part = v.optional(v.object({ properties: v.optional(v.record(v.string(), v.unknown()), {}) }))
const kind = v.object({ properties: v.object({ spec: part, status: part }) })

/** Fields of a NixBuild that are read or written here and that the cluster's CRD lacks, as `status.nodes`. */
export function missingFields(schemas: Readonly<Record<string, unknown>>): string[] {
  const found = Object.entries(schemas).find(([name]) => name.endsWith('.v1alpha1.NixBuild'))
  const result = v.safeParse(kind, found?.[1])
  const { spec, status } = result.success ? result.output.properties : {}
  return [...lacking('spec', spec?.properties), ...lacking('status', status?.properties)]
}

function lacking(part: 'spec' | 'status', has: Readonly<Record<string, unknown>> = {}): string[] {
  return NIXBUILD_FIELDS[part].filter(field => !(field in has)).map(field => `${part}.${field}`)
}
