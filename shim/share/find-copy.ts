import type { Logger } from 'pino'
import { jitter } from '../../lib/async/retry.ts'
import { messageOf, type ShimError, toShimError } from '../../lib/errors.ts'
import type { FindCall, PathSource, SharedPath } from '../nix/sharing.ts'
import { createCopySource } from './copy-source.ts'
import type { ClaimKube } from './leases/claim-kube.ts'
import { joinNodes } from './leases/join-nodes.ts'
import type { LeaseView } from './leases/lease-view.ts'
import type { Peer, Peers } from './peers.ts'
import type { LeadingRun } from './runs/local-runs.ts'
import type { RunMemory } from './runs/run-memory.ts'
import type { ShareTimes } from './settings.ts'
import { type Slot, type Slots, shuffle } from './slots.ts'
import type { Stores } from './stores.ts'

export interface FindCopyOptions {
  readonly kube: () => Promise<ClaimKube>
  readonly self: string
  /** Whether other nodes can copy from this one. */
  readonly serves: boolean
  readonly stores: Stores
  readonly peers: Peers
  readonly slots: Slots
  readonly times: ShareTimes
  readonly logger: Logger
}

export interface FindTask {
  readonly path: SharedPath
  readonly call: FindCall
  readonly lead: LeadingRun
  readonly memory: RunMemory
}

/** Finds binary caches that have a path. */
export interface FindCopy {
  fromStore(task: FindTask): Promise<PathSource | undefined>
  search(task: FindTask, name: string, view: LeaseView): PeerSearch
}

export interface PeerSearch {
  /** Nodes that the path cannot be copied from. */
  readonly unusable: ReadonlySet<string>
  /** Those among them that nobody can copy from. */
  readonly gone: ReadonlySet<string>
  /** Nodes that this node could not copy from may be tried again. */
  forget(): void
  /**
   * A copy from one of these nodes. Undefined if none is usable; or after a pause, of at most `longestMs`, if all are busy. Throws
   * retryable errors of `Kube`.
   */
  next(nodes: readonly string[], longestMs: number): Promise<PathSource | undefined>
}

/** Peers that one look asks for a slot: many nodes may look at the same time. */
const NEAR = 2

interface Unusable {
  readonly unusable: Set<string>
  readonly gone: Set<string>
  /** Since when nodes have no address, by performance.now(): those that have just started will tell theirs. */
  readonly silentSince: Map<string, number>
}

export function createFindCopy(options: FindCopyOptions): FindCopy {
  const { kube, self, serves, stores, peers, slots, times, logger } = options

  /** One or two that can be copied from. */
  async function choose(nodes: readonly string[], { call, memory }: FindTask, not: Unusable): Promise<Peer[]> {
    const near: Peer[] = []
    const failed = memory.failed()
    let problem: ShimError | undefined
    for (const node of shuffle(nodes)) {
      try {
        const peer = await peers.find(node, call.signal)
        if (peer && !failed.has(peer.url)) near.push(peer)
        else if (peer || isSilent(node, not)) not.unusable.add(node)
        if (!peer && not.unusable.has(node)) not.gone.add(node)
      } catch (error) {
        logger.debug({ err: messageOf(error), node }, 'cannot read the address of the node')
        const failure = toShimError(error)
        // It may be the only one.
        if (failure.retryable) problem = failure
        else not.unusable.add(node)
      }
      if (near.length === NEAR) break
    }
    if (problem && near.length === 0) throw problem
    return near
  }

  function isSilent(node: string, { silentSince }: Unusable): boolean {
    const since = silentSince.get(node) ?? performance.now()
    silentSince.set(node, since)
    return performance.now() - since >= times.silentMs
  }

  return {
    async fromStore({ path, call, lead, memory }) {
      const { signal } = call
      const url = await stores.find(path, memory.failed(), signal)
      if (url === undefined) return undefined
      return { kind: 'copy', from: createCopySource({ url, lead, memory, signal, join: async () => {} }) }
    },
    search(task, name, view) {
      const { lead, call, memory } = task
      const { signal } = call
      const unusable = new Set<string>()
      const gone = new Set<string>()
      const silentSince = new Map<string, number>()
      const slotSearch = slots.search()
      let pauseMs = times.shortestPauseMs
      let busySince: number | undefined
      const join = async () => {
        const lease = view.seen?.lease
        if (serves) await joinNodes({ kube, name, self, lease, limitMs: times.endMs, logger })
      }
      const copyFrom = (peer: Peer, slot?: Slot): PathSource => {
        const { url, node } = peer
        return { kind: 'copy', from: createCopySource({ url, node, slot, lead, memory, signal, join }) }
      }
      return {
        unusable,
        gone,
        forget() {
          for (const node of unusable) if (!gone.has(node)) unusable.delete(node)
        },
        async next(nodes, longestMs) {
          const near = await choose(nodes, task, { unusable, gone, silentSince })
          const [first] = near
          if (!first) {
            const isHopeless = nodes.every(node => unusable.has(node))
            if (!isHopeless) await view.changed(Math.min(jitter(times.shortestPauseMs, 0.5), longestMs))
            return undefined
          }
          try {
            const slot = await slotSearch.take(near)
            if (slot) return copyFrom(slot.peer, slot)
          } catch (error) {
            logger.debug({ err: messageOf(error) }, 'cannot take a slot, so this node copies without one')
            return copyFrom(first)
          }
          busySince ??= performance.now()
          if (performance.now() - busySince > times.slotlessMs) return copyFrom(first)
          // More nodes become peers meanwhile.
          await view.changed(Math.min(jitter(pauseMs, 0.5), longestMs))
          pauseMs = Math.min(pauseMs * 2, times.longestPauseMs)
          return undefined
        },
      }
    },
  }
}
