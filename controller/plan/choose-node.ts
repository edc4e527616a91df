import type { NodeState } from '../views/node.ts'
import type { NodeChoice } from './nixbuild-facts.ts'

/** A build that needs a node. */
export interface BuildToPlace {
  readonly system: string
  /** Labels that the node must have. */
  readonly nodeSelector: Readonly<Record<string, string>>
  /** Spreads builds over equally busy nodes: each recipe prefers other nodes, and always the same ones. */
  readonly recipe: string
  readonly countRunning: () => (node: string) => number
}

/** Chooses, among the nodes that can take the build, the one with the fewest builds. */
export function chooseNode(nodes: readonly NodeState[], build: BuildToPlace): NodeChoice {
  const able = nodes.filter(node => obstacleOf(node, build) === undefined).map(({ name }) => name)
  const [first, ...others] = able
  if (first === undefined) return { none: reasonOf(nodes, build) }
  // Counting visits all unfinished builds, so it is skipped if there is only one candidate.
  if (others.length === 0) return { node: first }
  const running = build.countRunning()
  const least = able.reduce((least, node) => Math.min(least, running(node)), Number.POSITIVE_INFINITY)
  const ranked = able.filter(node => running(node) === least).map(node => ({ node, rank: rank(build.recipe, node) }))
  return { node: ranked.reduce((best, each) => (isBetter(each, best) ? each : best)).node }
}

interface Ranked {
  readonly node: string
  readonly rank: number
}

function isBetter(a: Ranked, b: Ranked): boolean {
  return a.rank > b.rank || (a.rank === b.rank && a.node < b.node)
}

/** FNV-1a with a final mix: cheap, as it is calculated for thousands of nodes, and even. */
function rank(recipe: string, node: string): number {
  let hash = 0x811c9dc5
  for (const text of [recipe, node])
    for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Undefined if the node can take the build. */
function obstacleOf(node: NodeState, { system, nodeSelector }: BuildToPlace): string | undefined {
  if (node.system !== system) return 'of another system'
  if (!node.ready) return 'not ready'
  if (!node.schedulable) return 'cordoned'
  if (node.repelled) return 'excluded by --node-repel'
  if (node.fetchOnly) return 'with nix.build: never'
  if (!hasLabels(node, nodeSelector)) return 'without the labels of its nodeSelector'
  if (node.pressure !== undefined) return `with ${node.pressure}`
  if (node.taint !== undefined) return `with the taint ${node.taint}, which --tolerate does not name`
  if (node.shim === 'alive') return undefined
  return node.shim === 'none' ? 'without a shim' : 'with a shim that does not renew its Lease'
}

function hasLabels({ labels }: NodeState, selector: BuildToPlace['nodeSelector']): boolean {
  return Object.entries(selector).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value)
}

/** Nodes may have any number of different taints. */
const MAX_REASONS = 10

function reasonOf(nodes: readonly NodeState[], build: BuildToPlace): string {
  const { system } = build
  const ofSystem = nodes.filter(node => node.system === system)
  if (ofSystem.length === 0) {
    const others = [...new Set(nodes.map(node => node.system ?? 'of no known system'))].sort()
    return nodes.length === 0 ? 'the cluster has no node' : `no node is ${system}; there are ${others.join(', ')}`
  }
  const obstacles = [...Map.groupBy(ofSystem, node => obstacleOf(node, build))]
  const parts = obstacles.slice(0, MAX_REASONS).map(([obstacle, { length }]) => `${length} ${obstacle}`)
  const left = obstacles.slice(MAX_REASONS).reduce((sum, [, { length }]) => sum + length, 0)
  if (left > 0) parts.push(`${left} for other reasons`)
  return `of ${ofSystem.length} ${ofSystem.length === 1 ? 'node' : 'nodes'} for ${system}: ${parts.join(', ')}`
}
