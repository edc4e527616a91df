import type { Logger } from 'pino'
import { isConflict } from '../../kube/client/api-error.ts'
import { type ClaimLease, claimPatch, slotName } from '../../kube/resources/claim-lease.ts'
import { type ClaimKube, createLease, readLease, writeLease } from './leases/claim-kube.ts'
import { type HeldLease, holdLease } from './leases/held-lease.ts'
import type { Peer } from './peers.ts'
import type { ShareTimes } from './settings.ts'

export interface SlotsOptions {
  readonly kube: () => Promise<ClaimKube>
  readonly self: string
  readonly times: ShareTimes
  /** No copy takes longer. */
  readonly copyMs: number
  readonly logger: Logger
}

/** A right to copy from a peer. */
export interface Slot {
  readonly peer: Peer
  release(): Promise<void>
}

/** Looks for a slot at one of the peers, again and again. */
export interface SlotSearch {
  /** Tries a few of their slots. Undefined if they are taken. Throws the errors of `Kube`. */
  take(peers: readonly Peer[]): Promise<Slot | undefined>
}

export interface Slots {
  search(): SlotSearch
}

/** Slots that one look tries: many nodes may look at the same time. */
const TRIES = 3

export function createSlots({ kube, self, times, copyMs, logger }: SlotsOptions): Slots {
  /** Of this process. */
  const own = new Set<string>()
  /** Peers of which slots exist: a failed `create` would count for the quota of the namespace. */
  const used = new Set<string>()
  const claim = { holder: self, durationMs: times.slotMs }
  const limits = { timeoutMs: times.endMs }

  async function create(client: ClaimKube, name: string): Promise<ClaimLease | undefined> {
    return unlessConflict(createLease(client, name, claim, limits))
  }

  async function acquire(name: string, peer: Peer, seen: Map<string, SeenSlot>): Promise<ClaimLease | undefined> {
    const client = await kube()
    if (!used.has(peer.node)) {
      const lease = await create(client, name)
      if (used.size < MAX_USED) used.add(peer.node)
      if (lease) return lease
    }
    const lease = await readLease(client, name, limits)
    if (!lease) return create(client, name)
    if (lease.holder !== '' && lease.holder !== self && !isLost(lease, name, seen)) return undefined
    return unlessConflict(writeLease(client, name, claimPatch(lease.resourceVersion, claim), limits))
  }

  return {
    search() {
      const seen = new Map<string, SeenSlot>()
      return {
        async take(peers) {
          if (own.size >= MAX_OWN) return undefined
          const all = peers.flatMap(peer => Array.from({ length: peer.maxServed }, (_, index) => ({ peer, index })))
          for (const { peer, index } of shuffle(all).slice(0, TRIES)) {
            const name = slotName(peer.node, index)
            if (own.has(name)) continue
            own.add(name)
            const lease = await acquire(name, peer, seen).catch(error => {
              own.delete(name)
              throw error
            })
            if (!lease) own.delete(name)
            else return hold(name, peer, lease)
          }
          return undefined
        },
      }
    },
  }

  async function hold(name: string, peer: Peer, lease: ClaimLease): Promise<Slot> {
    const held: HeldLease = holdLease({
      ...{ kube: await kube(), name, lease, self, logger },
      durationMs: times.slotMs,
      renewMs: times.renewSlotMs,
      longestMs: copyMs + times.slotMs,
      endMs: times.endMs,
    })
    return {
      peer,
      async release() {
        await held.release()
        own.delete(name)
      },
    }
  }
}

/** Slots that this node has at the same time: it runs no more copies (shim/nix/builder.ts), and others would wait for those that it cannot use. */
const MAX_OWN = 4
const MAX_USED = 1_000
/** Slots that one search remembers. */
const MAX_SEEN = 512

interface SeenSlot {
  readonly resourceVersion: string
  readonly seenAt: number
}

/** Whether the same version has been there for its whole duration, by this process's clock. */
function isLost({ resourceVersion, durationMs }: ClaimLease, name: string, seen: Map<string, SeenSlot>): boolean {
  const before = seen.get(name)
  const now = performance.now()
  if (before?.resourceVersion === resourceVersion) return now - before.seenAt >= durationMs
  if (seen.size < MAX_SEEN || before) seen.set(name, { resourceVersion, seenAt: now })
  return false
}

async function unlessConflict<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (isConflict(error)) return undefined
    throw error
  }
}

export function shuffle<Item>(items: readonly Item[]): Item[] {
  return items
    .map(item => ({ item, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item)
}
