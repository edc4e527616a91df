import { cleanText } from './text.ts'

/** An error message shows this many of a flake's names. */
export const MAX_LISTED = 12

/** `prefix a, b, c …`; empty when there are none. */
export function listNames(prefix: string, names: readonly string[]): string {
  if (names.length === 0) return ''
  const shown = names.slice(0, MAX_LISTED).map(showName).join(', ')
  return `${prefix} ${shown}${names.length > MAX_LISTED ? ' …' : ''}`
}

/** A flake names its attributes as it likes. */
export function showName(name: string): string {
  return cleanText(name).replace(/\s/g, ' ')
}
