import type { OrderedJson } from '../../image/ordered-json.ts'

/**
 * The text that Go's `json.Marshal` gives (1.22 and newer). An object is a struct, whose fields are in their order; one
 * with sorted keys is made by `sortedKeys`.
 */
export function goJson(value: OrderedJson): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return goString(value)
  if (Array.isArray(value)) return `[${value.map(goJson).join(',')}]`
  if (!(value instanceof Map)) return value.number
  return `{${[...value].map(([key, item]) => `${goString(key)}:${goJson(item)}`).join(',')}}`
}

/** As Go writes a map: by the keys' bytes in UTF-8. */
export function sortedKeys<Value extends OrderedJson>(map: ReadonlyMap<string, Value>): Map<string, OrderedJson> {
  return new Map([...map].sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other))))
}

/** Below U+0020 JavaScript escapes as Go does. Half a surrogate pair is no character in Go. */
function goString(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(
    /[<>&\u2028\u2029]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
