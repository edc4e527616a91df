import { quote } from '../lib/text/quote.ts'

/** Why a text does not fit its grammar; ends as the second half of a `RecipeInvalid`. */
export class GrammarError extends Error {}

/** A piece of a bad text, safe to show: bounded, control characters escaped, no user info (a secret) and no query. */
export function quoteForError(text: string): string {
  return quote(withoutSecrets(text))
}

/**
 * The text is none that a parser of URLs understands: a password may hold any character, the query too. All up to the
 * last `@` goes; with a `?` before it, nothing tells where the query begins, and all of the rest goes, too.
 */
function withoutSecrets(text: string): string {
  const at = text.lastIndexOf('@')
  const query = text.indexOf('?')
  if (at < 0) return query < 0 ? text : text.slice(0, query)
  const [scheme = ''] = /^(?:[a-z]{1,7}\+)?(?:https?|ssh|file):\/\//.exec(text) ?? []
  return query >= 0 && query < at ? `${scheme}…` : `${scheme}…${text.slice(at).replace(/\?.*$/s, '')}`
}
