import { NIXNODE_LIMITS, type NodeBuild } from '../../../kube/resources/nixnode.ts'
import { storedBytes } from '../../../kube/stored-bytes.ts'
import { findFairExcess, type Holding, type Room } from '../../../lib/queues/fair-excess.ts'

/** Room of a NixNode's builds. Each write sends all of them. */
export const BUILDS_ROOM: Room = { count: NIXNODE_LIMITS.builds, bytes: 200_000 }

export interface BoundedBuild {
  readonly build: NodeBuild
  /** Whether pods wait for it, or the node works on it. */
  readonly isActive: boolean
  /** When it changed, in milliseconds since 1970. */
  readonly changedAt: number
}

/**
 * Chooses the builds to leave out so that the rest fits. Results go first: the oldest of the namespace that has the
 * most. After the last result, the newest work goes.
 */
export function findExcessBuilds<Build extends BoundedBuild>(all: readonly Build[], room: Room = BUILDS_ROOM): Build[] {
  const holdings = all.map(holdingOf)
  const active = holdings.filter(({ item }) => item.isActive)
  const results = holdings.filter(({ item }) => !item.isActive)
  const left = { count: Math.max(0, room.count - active.length), bytes: Math.max(0, room.bytes - bytesOf(active)) }
  const newestLast = active.map(holding => ({ ...holding, usedAt: -holding.usedAt }))
  return [...findFairExcess(results, left), ...findFairExcess(newestLast, room)].map(({ item }) => item)
}

/** Chooses the images that lose their log, so that logs leave out nothing else: the oldest of the namespace with the most. */
export function findExcessLogs<Build extends BoundedBuild>(all: readonly Build[], room: Room = BUILDS_ROOM): Build[] {
  const logs = all
    .filter(({ build }) => build.state === 'Present' && build.logTail !== undefined)
    .map(item => ({ ...holdingOf(item), bytes: storedBytes(item.build.logTail) }))
  const others = bytesOf(all.map(holdingOf)) - bytesOf(logs)
  return findFairExcess(logs, { ...room, bytes: Math.max(0, room.bytes - others) }).map(({ item }) => item)
}

function holdingOf<Build extends BoundedBuild>(item: Build): Holding & { readonly item: Build } {
  return { item, owners: [item.build.namespace], bytes: storedBytes(item.build), usedAt: item.changedAt }
}

function bytesOf(holdings: readonly Holding[]): number {
  return holdings.reduce((sum, { bytes }) => sum + bytes, 0)
}
