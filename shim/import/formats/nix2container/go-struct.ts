import { quote } from '../../../../lib/text/quote.ts'
import { archiveInvalid } from '../../image/errors.ts'
import type { OrderedJson } from '../../image/ordered-json.ts'
import { sortedKeys } from './go-json.ts'
import { goTime } from './go-time.ts'

/** Reads a field's value as Go does; undefined for one that `omitempty` leaves out. */
export type GoField = (value: OrderedJson) => OrderedJson | undefined
export type GoStruct = Readonly<Record<string, GoField>>

/**
 * What is left of an object that Go has read into a struct and writes again: its fields alone, in their order. Go finds
 * them in upper or lower case. Throws ArchiveInvalid for a value of another type than the field's.
 */
export function throughStruct(
  value: OrderedJson | undefined,
  struct: GoStruct,
  name: string,
): Map<string, OrderedJson> {
  if (value === undefined || value === null) return new Map()
  if (!isObject(value)) throw archiveInvalid(`has a ${name} that is no object`)
  const kept = Object.entries(struct).map(([field, read]): [string, OrderedJson | undefined] => {
    const found = findField(value, field)
    return [field, found === null ? undefined : inField(`${name}.${field}`, () => read(found))]
  })
  return new Map(kept.flatMap(([field, item]) => (item === undefined ? [] : [[field, item]])))
}

function isObject(value: OrderedJson): value is Map<string, OrderedJson> {
  return value instanceof Map
}

/** The last one of those that Go takes for the field. */
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
  if (!Array.isArray(value)) throw new WrongType('no list')
  return value.length === 0 ? undefined : value.map(textOf)
}

export function goLabels(value: OrderedJson): OrderedJson | undefined {
  return goMap(value, textOf)
}

/** A set of keys, each with an empty struct. */
export function goSet(value: OrderedJson): OrderedJson | undefined {
  return goMap(value, item => {
    if (item !== null && !isObject(item)) throw new WrongType('no set')
    return new Map()
  })
}

export function goMoment(value: OrderedJson): string {
  const time = goTime(textOf(value))
  if (time === undefined) throw new WrongType(`no time: ${quote(textOf(value))}`)
  return time
}

/** Null leaves what a new value has: the empty text. */
function textOf(value: OrderedJson): string {
  if (value === null) return ''
  if (typeof value !== 'string') throw new WrongType('no text')
  return value
}

function goMap(value: OrderedJson, read: (item: OrderedJson) => OrderedJson): OrderedJson | undefined {
  if (!isObject(value)) throw new WrongType('no object')
  const items = [...value].map(([key, item]): [string, OrderedJson] => [key.toWellFormed(), read(item)])
  return items.length === 0 ? undefined : sortedKeys(new Map(items))
}
