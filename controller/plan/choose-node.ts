import type { NodeState } from '../views/node.ts'
import type { NodeChoice } from './nixbuild-facts.ts'

/**
 * Chooses, among the nodes that can build for `system`, the one with the fewest builds. Ties go to the first by name.
 */
export function chooseNode(
  nodes: readonly NodeState[],
  { system, countRunning }: { readonly system: string; readonly countRunning: () => (node: string) => number },
): NodeChoice {
  const able = nodes.filter(node => obstacleOf(node, system) === undefined).map(({ name }) => name)
  const [first, ...others] = able
  if (first === undefined) return { none: reasonOf(nodes, system) }
  // Counting visits all unfinished builds, so it is skipped if there is only one candidate.
  const running = others.length === 0 ? () => 0 : countRunning()
  let best = { node: first, builds: running(first) }
  for (const node of others) {
    const builds = running(node)
    if (builds < best.builds || (builds === best.builds && node < best.node)) best = { node, builds }
  }
  return { node: best.node }
}

const OBSTACLES = {
  system: 'of another system',
  notReady: 'not ready',
  cordoned: 'cordoned',
  repelled: 'excluded by --node-repel',
  noShim: 'without a shim',
  dead: 'with a shim that does not renew its Lease',
} as const

function obstacleOf(node: NodeState, system: string): keyof typeof OBSTACLES | undefined {
  if (node.system !== system) return 'system'
  if (!node.ready) return 'notReady'
  if (!node.schedulable) return 'cordoned'
  if (node.repelled) return 'repelled'
  if (node.shim === 'alive') return undefined
  return node.shim === 'none' ? 'noShim' : 'dead'
}

function reasonOf(nodes: readonly NodeState[], system: string): string {
  const ofSystem = nodes.filter(node => node.system === system)
  if (ofSystem.length === 0) {
    const others = [...new Set(nodes.map(node => node.system ?? 'of no known system'))].sort()
    return nodes.length === 0 ? 'the cluster has no node' : `no node is ${system}; there are ${others.join(', ')}`
  }
  const obstacles = Map.groupBy(ofSystem, node => obstacleOf(node, system))
  const parts = [...obstacles].map(([obstacle, { length }]) => `${length} ${obstacle ? OBSTACLES[obstacle] : ''}`)
  return `of ${ofSystem.length} ${ofSystem.length === 1 ? 'node' : 'nodes'} for ${system}: ${parts.join(', ')}`
}
