import type { NodeState } from '../views/node.ts'

/** Why a node cannot finish its builds; undefined if it can. A cordoned or repelled node may finish. */
export function nodeProblem(name: string, state: NodeState | undefined): string | undefined {
  return state?.ready === false ? `node ${name} is not ready` : shimProblem(name, state)
}

/** Why the node must get no builds, although it could build. */
export function repelProblem(name: string, state: NodeState | undefined): string | undefined {
  return state?.repelled ? `node ${name} is excluded by --node-repel` : undefined
}

/** Why the node builds nothing, although its shim lives: it gets images from other nodes. */
export function fetchOnlyProblem(name: string, state: NodeState | undefined): string | undefined {
  return state?.fetchOnly ? `node ${name} builds nothing (nix.build: never)` : undefined
}

/** Why no shim can be working on the node; undefined if one can. */
export function shimProblem(name: string, state: NodeState | undefined): string | undefined {
  if (state === undefined) return `node ${name} is gone`
  if (state.shim === 'none') return `no shim runs on node ${name}`
  return state.shim === 'dead' ? `the shim of node ${name} does not renew its Lease` : undefined
}
