import { Document, isMap, isScalar, parseDocument } from 'yaml'
import { readPlace } from './template.ts'
import type { ChartValue } from './values.ts'

/** The text of values.yaml: each value with its default and a comment. */
export function writeValues(values: readonly ChartValue[], manifests: readonly Document[]): string {
  const defaults = new Document({})
  for (const value of values) defaults.setIn(value.key.split('.'), defaults.createNode(defaultOf(value, manifests)))
  const file = parseDocument(defaults.toString({ lineWidth: 0 }))
  for (const { key, about } of values) comment(file, key.split('.'), about)
  return file.toString({ lineWidth: 0 })
}

/** A JSON schema that refuses values that the chart does not have. */
export function makeSchema(values: readonly ChartValue[]): object {
  const properties: Record<string, object> = { global: { type: 'object' } }
  for (const [name, members] of Map.groupBy(values, ({ key }) => key.replace(/\..*/, ''))) {
    const inner = members.map(({ key, schema }) => [key.slice(name.length + 1), schema] as const)
    properties[name] = inner[0]?.[0] === '' ? inner[0][1] : closed(Object.fromEntries(inner))
  }
  const required = Object.keys(properties).filter(name => name !== 'global')
  return { $schema: 'http://json-schema.org/draft-07/schema#', ...closed(properties), required }
}

function closed(properties: Readonly<Record<string, object>>): object {
  // Helm drops a value that is null, and its default with it, before it looks at the schema.
  return { type: 'object', additionalProperties: false, required: Object.keys(properties), properties }
}

function defaultOf(value: ChartValue, manifests: readonly Document[]): unknown {
  if ('default' in value) return value.default
  const place = value.defaultAt ?? value.places?.[0]
  if (!place) throw new Error(`the value ${value.key} has no default`)
  return readPlace(manifests, place)
}

function comment(file: Document, path: readonly string[], about: string | undefined): void {
  const parent = path.length === 1 ? file.contents : file.getIn(path.slice(0, -1))
  if (about === undefined || !isMap(parent)) return
  const pair = parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1))
  if (isScalar(pair?.key)) pair.key.commentBefore = ` ${about}`
}
