/** As `engines` of package.json has it. */
const OLDEST_NODE: readonly number[] = [22, 19]

/**
 * Why a program of this package cannot run under a Node, in one line; undefined when it can. It is asked before anything else is
 * imported: an older Node fails somewhere inside that, with words that nobody understands.
 */
export function nodeProblem(program: string, version: string, node: string): string | undefined {
  const found = version.split('.').map(Number)
  const difference = OLDEST_NODE.map((number, index) => (found[index] || 0) - number).find(value => value !== 0) || 0
  if (difference >= 0) return undefined
  return `${program} needs Node ${OLDEST_NODE.join('.')} or newer, and ${node} is ${version}: install a newer one, and see that it comes first in PATH`
}
