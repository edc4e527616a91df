import { readFileSync } from 'node:fs'
import * as v from 'valibot'
import { parse } from 'yaml'

export interface Schema {
  readonly type?: string | undefined
  readonly description?: string | undefined
  readonly pattern?: string | undefined
  readonly format?: string | undefined
  readonly enum?: string[] | undefined
  readonly maxLength?: number | undefined
  readonly maxItems?: number | undefined
  readonly properties?: Record<string, Schema> | undefined
  readonly items?: Schema | undefined
  /** Of a map. */
  readonly additionalProperties?: Schema | undefined
}

const schemaSchema: v.GenericSchema<unknown, Schema> = v.object({
  type: v.optional(v.string()),
  description: v.optional(v.string()),
  pattern: v.optional(v.string()),
  format: v.optional(v.string()),
  enum: v.optional(v.array(v.string())),
  maxLength: v.optional(v.number()),
  maxItems: v.optional(v.number()),
  properties: v.optional(
    v.record(
      v.string(),
      v.lazy(() => schemaSchema),
    ),
  ),
  items: v.optional(v.lazy(() => schemaSchema)),
  additionalProperties: v.optional(v.lazy(() => schemaSchema)),
})
const crdSchema = v.object({
  spec: v.object({ versions: v.tuple([v.object({ schema: v.object({ openAPIV3Schema: schemaSchema }) })]) }),
})

/** The fields of spec and status by their paths, such as `status.conditions.message`. */
export function* properties(plural = 'nixbuilds'): Generator<{ path: string; schema: Schema }> {
  const crd = v.parse(crdSchema, parse(readFileSync(`deploy/crd/${plural}.yaml`, 'utf8')))
  const { properties: top = {} } = crd.spec.versions[0].schema.openAPIV3Schema
  for (const part of ['spec', 'status']) yield* propertiesIn(part, top[part] ?? {})
}

function* propertiesIn(path: string, schema: Schema): Generator<{ path: string; schema: Schema }> {
  yield { path, schema }
  const inner = schema.items?.properties ?? schema.properties ?? {}
  for (const [name, property] of Object.entries(inner)) yield* propertiesIn(`${path}.${name}`, property)
}

/** The paths of all fields of a value. A list counts by its first item. */
export function pathsIn(value: object, prefix = ''): string[] {
  return Object.entries(value).flatMap(([name, inner]) => {
    const path = prefix + name
    const first: unknown = Array.isArray(inner) ? inner[0] : inner
    return [path, ...(typeof first === 'object' && first !== null ? pathsIn(first, `${path}.`) : [])]
  })
}
