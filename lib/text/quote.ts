const MAX_QUOTED_LENGTH = 100

/** Makes foreign text safe for a one-line message: quoted, control characters escaped, at most 100 characters. */
export function quote(text: string): string {
  const shown = text.length > MAX_QUOTED_LENGTH ? `${text.slice(0, MAX_QUOTED_LENGTH)}…` : text
  return JSON.stringify(shown)
}
