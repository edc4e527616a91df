/** Whether an error of Node's has one of the codes: `ENOENT`, `ERR_STREAM_PREMATURE_CLOSE`. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code)
}
