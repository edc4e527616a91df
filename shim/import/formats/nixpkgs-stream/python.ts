import { archiveInvalid } from '../../image/errors.ts'
import type { JsonNumber, OrderedJson } from '../../image/ordered-json.ts'

const INDENT = '    '

/**
 * Formats JSON as Python's `json.dumps(value, indent=4)` does, in ASCII. Throws ArchiveInvalid for a number that Python would print
 * as Infinity, which is not JSON.
 */
export function pythonJson(value: OrderedJson, indent = ''): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return pythonJsonString(value)
  const inner = indent + INDENT
  if (Array.isArray(value)) {
    const items = value.map(item => inner + pythonJson(item, inner))
    return inBrackets('[]', items, indent)
  }
  if (!(value instanceof Map)) return pythonNumber(value)
  const items = [...value].map(([key, item]) => `${inner}${pythonJsonString(key)}: ${pythonJson(item, inner)}`)
  return inBrackets('{}', items, indent)
}

function inBrackets(brackets: '[]' | '{}', items: readonly string[], indent: string): string {
  if (items.length === 0) return brackets
  return `${brackets[0]}\n${items.join(',\n')}\n${indent}${brackets[1]}`
}

/** JavaScript escapes the same characters below U+0020 in the same way. */
function pythonJsonString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** As Python prints the number after reading it: integers of any length, others as the shortest text of the same value. */
function pythonNumber({ number }: JsonNumber): string {
  if (!/[.eE]/.test(number)) return number === '-0' ? '0' : number
  const value = Number(number)
  if (!Number.isFinite(value)) throw archiveInvalid(`has a number that is out of range: ${number.slice(0, 40)}`)
  return pythonFloat(value)
}

function pythonFloat(value: number): string {
  if (Object.is(value, -0)) return '-0.0'
  const [mantissa = '', exponent = ''] = value.toExponential().split('e')
  const power = Number(exponent)
  if (power >= -4 && power < 16) return Number.isInteger(value) ? `${value}.0` : String(value)
  return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
}

/**
 * Python's `repr` of a list of strings. Throws ArchiveInvalid for a string that is not ASCII: which other characters are escaped
 * depends on Python's version.
 */
export function pythonListRepr(strings: readonly string[]): string {
  return `[${strings.map(pythonRepr).join(', ')}]`
}

function pythonRepr(text: string): string {
  if (/\P{ASCII}/u.test(text)) throw archiveInvalid(`names ${JSON.stringify(text)}, which is not ASCII`)
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  return quote + text.replace(/[\\']|[^ -~]/g, sign => (sign === "'" && quote === '"' ? sign : escaped(sign))) + quote
}

const ESCAPES: Partial<Record<string, string>> = { '\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function escaped(sign: string): string {
  return ESCAPES[sign] ?? `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`
}

/** A moment of Python's `datetime`. */
export interface PythonTime {
  /** Printed by `isoformat`, in its own zone. */
  readonly iso: string
  /** Whole seconds since 1970. */
  readonly seconds: number
}

/** The format of `date -Iseconds`, also with milliseconds or microseconds. */
const FORM = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{3}|\d{6}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/

/** Reads a time as Python's `datetime.fromisoformat` does; undefined for a text that is not in the format above. */
export function parsePythonTime(text: string): PythonTime | undefined {
  const [matched, local = '', fraction = '', sign = '+', hours = '00', minutes = '00'] = FORM.exec(text) ?? []
  const localMs = Date.parse(`${local}Z`)
  if (matched === undefined || !isRealDate(local, localMs)) return undefined
  const offset = (Number(hours) * 60 + Number(minutes)) * 60
  const zone = offset === 0 ? '+00:00' : `${sign}${hours}:${minutes}`
  return {
    iso: local + printFraction(fraction) + zone,
    seconds: localMs / 1000 - (sign === '-' ? -offset : offset),
  }
}

/** As Python's `datetime.now(tz=timezone.utc)`, from milliseconds since 1970. */
export function pythonTimeAt(ms: number): PythonTime {
  const [local = '', fraction = ''] = new Date(ms).toISOString().split(/[.Z]/)
  return { iso: `${local}${printFraction(fraction)}+00:00`, seconds: Math.floor(ms / 1000) }
}

/** JavaScript reads February 30 as March 2, and has a year 0. */
function isRealDate(local: string, ms: number): boolean {
  return !Number.isNaN(ms) && !local.startsWith('0000') && new Date(ms).toISOString().startsWith(local)
}

function printFraction(digits: string): string {
  return Number(digits) === 0 ? '' : `.${digits.padEnd(6, '0')}`
}
