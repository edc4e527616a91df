import { closest, distance } from 'fastest-levenshtein'
import { cleanText } from '../../../lib/text/text.ts'

/** Most names that an error message lists. */
export const MAX_LISTED = 12

/** `prefix a, b, c …`; empty if there are no names. */
export function listNames(prefix: string, names: readonly string[]): string {
  if (names.length === 0) return ''
  const shown = names.slice(0, MAX_LISTED).map(showName).join(', ')
  return `${prefix} ${shown}${names.length > MAX_LISTED ? ' …' : ''}`
}

/** Attribute names can contain anything. */
export function showName(name: string): string {
  return cleanText(name).replace(/\s/g, ' ')
}

/** The names that are most similar to `name`; empty if none is similar enough. */
export function nearestNames(name: string, names: readonly string[]): readonly string[] {
  if (names.length === 0) return []
  const folded = name.toLowerCase()
  const byFolded = Map.groupBy(new Set(names), other => other.toLowerCase())
  const nearest = byFolded.has(folded) ? folded : closest(folded, [...byFolded.keys()])
  const isNear = nearest.startsWith(folded) || distance(folded, nearest) <= maxDistance(name)
  return isNear ? (byFolded.get(nearest) ?? []) : []
}

/** Two swapped letters count as two edits. */
function maxDistance({ length }: string): number {
  return length < 4 ? 1 : Math.max(2, Math.floor(length / 3))
}
