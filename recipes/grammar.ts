import { quote } from '../lib/text/quote.ts'

/** Why a text does not match its grammar. The message becomes the second half of a `RecipeInvalid`. */
export class GrammarError extends Error {}

/** Makes a bad text safe to show: bounded, control characters escaped, without user info (a secret) and query. */
export function quoteForError(text: string): string {
  return quote(withoutSecrets(text))
}

/**
 * A bad text cannot be parsed as a URL, and a password may contain any character, as may the query. So everything up to
 * the last `@` is dropped. If a `?` comes before it, the start of the query is unknown, and the rest is dropped, too.
 */
function withoutSecrets(text: string): string {
  const at = text.lastIndexOf('@')
  const query = text.indexOf('?')
  if (at < 0) return query < 0 ? text : text.slice(0, query)
  const [scheme = ''] = /^(?:[a-z]{1,7}\+)?(?:https?|ssh|file):\/\//.exec(text) ?? []
  return query >= 0 && query < at ? `${scheme}…` : `${scheme}…${text.slice(at).replace(/\?.*$/s, '')}`
}
