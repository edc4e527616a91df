import { archiveInvalid } from '../../image/errors.ts'

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

const ESCAPES: Partial<Record<string, string>> = { '\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function escaped(sign: string): string {
  return ESCAPES[sign] ?? `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`
}
