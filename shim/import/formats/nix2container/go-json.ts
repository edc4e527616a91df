import { quote } from '../../../../lib/text/quote.ts'
import { withoutEnd } from '../../../../lib/text/text.ts'
import { archiveInvalid } from '../../image/errors.ts'
import type { OrderedJson } from '../../image/ordered-json.ts'

/**
 * Formats JSON as Go's `json.Marshal` does (1.22 and newer). Objects keep the order of their keys, as Go's structs do; `sortedKeys`
 * makes objects like Go's maps.
 */
export function goJson(value: OrderedJson): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return goString(value)
  if (Array.isArray(value)) return `[${value.map(goJson).join(',')}]`
  if (!(value instanceof Map)) return value.number
  return `{${[...value].map(([key, item]) => `${goString(key)}:${goJson(item)}`).join(',')}}`
}

/** Sorts keys as Go does in a map: by their bytes in UTF-8. */
function sortedKeys<Value extends OrderedJson>(map: ReadonlyMap<string, Value>): Map<string, OrderedJson> {
  return new Map([...map].sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other))))
}

/** JavaScript escapes characters below U+0020 as Go does. Half a surrogate pair is not a character in Go. */
function goString(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(
    /[<>&\u2028\u2029]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Reads a field's value as Go does; undefined for a value that `omitempty` leaves out. */
export type GoField = (value: OrderedJson) => OrderedJson | undefined

export type GoStruct = Readonly<Record<string, GoField>>

/**
 * What remains of an object that Go reads into a struct and writes again: only the struct's fields, in their order. Go ignores
 * the case of their names. Throws ArchiveInvalid for a value of another type than the field's.
 */
export function throughStruct(
  value: OrderedJson | undefined,
  struct: GoStruct,
  name: string,
): Map<string, OrderedJson> {
  if (value === undefined || value === null) return new Map()
  if (!isObject(value)) throw archiveInvalid(`has a ${name} that is not an object`)
  const kept = Object.entries(struct).map(([field, read]): [string, OrderedJson | undefined] => {
    const found = findField(value, field)
    return [field, found === null ? undefined : inField(`${name}.${field}`, () => read(found))]
  })
  return new Map(kept.flatMap(([field, item]) => (item === undefined ? [] : [[field, item]])))
}

function isObject(value: OrderedJson): value is Map<string, OrderedJson> {
  return value instanceof Map
}

/** The last of the keys that Go takes for the field. */
function findField(object: ReadonlyMap<string, OrderedJson>, field: string): OrderedJson {
  return [...object].findLast(([key, item]) => key.toLowerCase() === field.toLowerCase() && item !== null)?.[1] ?? null
}

class WrongType extends Error {}

function inField<Result>(name: string, read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    if (error instanceof WrongType) throw archiveInvalid(`has a ${name} that is ${error.message}`)
    throw error
  }
}

export function goText(value: OrderedJson): string | undefined {
  return textOf(value) || undefined
}

export function goFlag(value: OrderedJson): true | undefined {
  if (typeof value !== 'boolean') throw new WrongType('neither true nor false')
  return value || undefined
}

export function goTexts(value: OrderedJson): string[] | undefined {
  if (!Array.isArray(value)) throw new WrongType('not a list')
  return value.length === 0 ? undefined : value.map(textOf)
}

export function goLabels(value: OrderedJson): OrderedJson | undefined {
  return goMap(value, textOf)
}

/** A set: a map of empty structs. */
export function goSet(value: OrderedJson): OrderedJson | undefined {
  return goMap(value, item => {
    if (item !== null && !isObject(item)) throw new WrongType('not a set')
    return new Map()
  })
}

export function goMoment(value: OrderedJson): string {
  const time = goTime(textOf(value))
  if (time === undefined) throw new WrongType(`not a time: ${quote(textOf(value))}`)
  return time
}

/** Go accepts an hour of one digit, and a comma. */
const FORM = /^(\d{4}-\d\d-\d\d)T(\d\d?)(:\d\d:\d\d)(?:[.,](\d+))?(?:Z|([+-](?:[01]\d|2[0-3]):[0-5]\d))$/

const NANOSECOND_DIGITS = 9

/** A time (RFC 3339) as Go prints it after reading it from JSON; undefined if Go would reject it. */
export function goTime(text: string): string | undefined {
  const [matched, date, hour = '', rest, digits = '', zone = 'Z'] = FORM.exec(text) ?? []
  const local = `${date}T${hour.padStart(2, '0')}${rest}`
  if (matched === undefined || !isRealDate(local)) return undefined
  const fraction = withoutEnd(digits.slice(0, NANOSECOND_DIGITS), '0')
  return local + (fraction && `.${fraction}`) + (/^[+-]00:00$/.test(zone) ? 'Z' : zone)
}

/** JavaScript reads February 30 as March 2. */
function isRealDate(local: string): boolean {
  const ms = Date.parse(`${local}Z`)
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(local)
}

/** Null leaves the text empty, as it is in a new value. */
function textOf(value: OrderedJson): string {
  if (value === null) return ''
  if (typeof value !== 'string') throw new WrongType('not text')
  return value
}

function goMap(value: OrderedJson, read: (item: OrderedJson) => OrderedJson): OrderedJson | undefined {
  if (!isObject(value)) throw new WrongType('not an object')
  const items = [...value].map(([key, item]): [string, OrderedJson] => [key.toWellFormed(), read(item)])
  return items.length === 0 ? undefined : sortedKeys(new Map(items))
}
