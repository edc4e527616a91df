import { objectKey } from '../../kube/mirror.ts'
import { isTooMany } from '../plan/plan-assignment.ts'
import type { Assignments } from './assignments.ts'
import type { Builds } from './builds.ts'
import { createPreparedBuilds } from './prepared-builds.ts'

/** Marks NixBuilds for reconciling because of the nodes that have them or may get them. */
export interface WaitingBuilds {
  /** The builds of the node, and soon all that no node has or that select nodes: they may have been waiting for this change. */
  nodeChanged(node: string): void
  /** Fewer builds of the namespace are assigned. */
  roomIn(namespace: string): void
}

export interface WaitingBuildsOptions {
  readonly builds: Pick<Builds, 'unfinishedOn' | 'mayNeedNode' | 'preparing'>
  readonly assignments: Pick<Assignments, 'nodeOf' | 'onNode'>
  readonly onBuild: (key: string) => void
  readonly signal: AbortSignal
}

/** Builds without a node are marked at most once in this time, in milliseconds, however many nodes change. */
const OFFER_MS = 1_000
/** How many waiting NixBuilds are reconciled when there is room for another one. */
const MAX_NEXT = 4

export function createWaitingBuilds({ builds, assignments, onBuild, signal }: WaitingBuildsOptions): WaitingBuilds {
  let offeredAt = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined
  const prepared = createPreparedBuilds({ builds, onBuild, signal })

  function offerSoon(): void {
    if (timer || signal.aborted) return
    const wait = offeredAt + OFFER_MS - Date.now()
    if (wait > 0) timer = setTimeout(offer, wait)
    else offer()
  }

  function offer(): void {
    timer = undefined
    offeredAt = Date.now()
    for (const build of builds.mayNeedNode()) {
      const key = objectKey(build)
      if (build.buildNode === undefined && assignments.nodeOf(key) === undefined) onBuild(key)
    }
  }

  signal.addEventListener('abort', () => clearTimeout(timer))
  return {
    nodeChanged(node) {
      for (const key of assignments.onNode(node)) onBuild(key)
      for (const build of builds.unfinishedOn(node)) {
        const key = objectKey(build)
        if ((assignments.nodeOf(key) ?? node) === node) onBuild(key)
      }
      offerSoon()
      prepared.nodeChanged()
    },
    roomIn(namespace) {
      const waiting = builds.mayNeedNode().filter(build => build.namespace === namespace && isTooMany(build))
      for (const build of waiting.slice(0, MAX_NEXT)) onBuild(objectKey(build))
    },
  }
}
