/** The same as `engines` in package.json. */
const OLDEST_NODE: readonly number[] = [22, 19]

/**
 * Why this Node is too old for a program of this package, in one line; undefined if it is not. Checked before any other
 * import, as an older Node fails inside those with an unrelated message.
 */
export function nodeJsProblem(program: string, version: string, node: string): string | undefined {
  const found = version.split('.').map(Number)
  const difference = OLDEST_NODE.map((number, index) => (found[index] || 0) - number).find(value => value !== 0) || 0
  if (difference >= 0) return undefined
  return `${program} needs Node ${OLDEST_NODE.join('.')} or newer, and ${node} is ${version}: install a newer one, and see that it comes first in PATH`
}
