/** `metav1.Time`: RFC 3339 in whole seconds, as the API server keeps it. `at` is in milliseconds since 1970. */
export function time(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')
}
