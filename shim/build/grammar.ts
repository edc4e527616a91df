/** Why a text does not fit its grammar; ends as the second half of a `RecipeInvalid`. */
export class GrammarError extends Error {}

/** Longest piece of a user's text that an error shows, in characters. */
const MAX_QUOTE = 80

/** A piece of a bad text, safe to show: bounded, control characters escaped, no user info (a secret) and no query. */
export function quoteForError(text: string): string {
  const shown = text
    .slice(0, 4096)
    .replace(/\?.*$/s, '')
    .replace(/[^/]*@/g, '…@')
  return JSON.stringify(shown.length > MAX_QUOTE ? `${shown.slice(0, MAX_QUOTE)}…` : shown)
}
