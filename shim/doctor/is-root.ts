/** Nobody else sees all, and can become the build user. */
export function isRoot(): boolean {
  return process.getuid?.() === 0
}
