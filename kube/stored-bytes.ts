/** Size of a part of an object in the store of the API server, whose JSON escapes more than JavaScript's. */
export function storedBytes(part: unknown): number {
  const text = JSON.stringify(part)
  return Buffer.byteLength(text) + ESCAPE_LENGTH * (text.match(ESCAPED)?.length ?? 0)
}

/** Go's `encoding/json` writes these as `\u003c` and its like. */
const ESCAPED = /[<>&\u2028\u2029]/g
const ESCAPE_LENGTH = 5
