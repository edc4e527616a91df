import { archiveInvalid } from '../../image/errors.ts'
import type { JsonNumber, OrderedJson } from '../../image/ordered-json.ts'

/** A moment as Python's `datetime` has it. */
export interface PythonTime {
  /** As `isoformat` prints it, in its own zone. */
  readonly iso: string
  /** Whole seconds since 1970. */
  readonly seconds: number
}

/** What `date -Iseconds` writes, and the same with milliseconds or microseconds. */
const FORM = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{3}|\d{6}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/

const ESCAPES: Partial<Record<string, string>> = { '\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r', '\t': '\\t' }

const INDENT = '    '

/**
 * The text that Python's `json.dumps(value, indent=4)` gives: ASCII only. Throws ArchiveInvalid for a number that Python
 * would print as Infinity, which is no JSON.
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

/** A number as Python prints it that has read it: whole ones at any length, others as the shortest that reads the same. */
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
 * The text that Python's `repr` gives for a list of strings. Throws ArchiveInvalid for a string that is not ASCII: which
 * other characters are printed as they are depends on Python's version.
 */
export function pythonListRepr(strings: readonly string[]): string {
  return `[${strings.map(pythonRepr).join(', ')}]`
}

function pythonRepr(text: string): string {
  if (/\P{ASCII}/u.test(text)) throw archiveInvalid(`names ${JSON.stringify(text)}, which is not ASCII`)
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  return quote + text.replace(/[\\']|[^ -~]/g, sign => (sign === "'" && quote === '"' ? sign : escaped(sign))) + quote
}

function escaped(sign: string): string {
  return ESCAPES[sign] ?? `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`
}

/** As Python's `datetime.fromisoformat` reads it, or undefined for a text that is no time with a zone in the form above. */
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

/** JavaScript reads the 30th of February as the 2nd of March, and has a year 0. */
function isRealDate(local: string, ms: number): boolean {
  return !Number.isNaN(ms) && !local.startsWith('0000') && new Date(ms).toISOString().startsWith(local)
}

function printFraction(digits: string): string {
  return Number(digits) === 0 ? '' : `.${digits.padEnd(6, '0')}`
}
