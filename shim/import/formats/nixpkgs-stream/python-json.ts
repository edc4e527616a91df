import { archiveInvalid } from '../../image/errors.ts'
import type { JsonNumber, OrderedJson } from '../../image/ordered-json.ts'

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
