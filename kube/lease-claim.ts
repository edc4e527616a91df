import type { Lease } from './resources/lease.ts'

/** A Lease as somebody saw it who would like to hold it. */
export interface Sighting {
  readonly lease: Lease
  /** Of this process's own clock, in milliseconds, when the Lease was first seen as it is. Clocks of other machines are not compared. */
  readonly seenAt: number
}

/** The sighting to go by, now that the Lease has been read again. */
export function look(before: Sighting | undefined, lease: Lease, now: number): Sighting {
  const isSame = before?.lease.metadata.resourceVersion === lease.metadata.resourceVersion
  return before !== undefined && isSame ? before : { lease, seenAt: now }
}

/** Milliseconds until `identity` may take the Lease; 0 when it may do so now. */
export function timeUntilFree({ lease: { spec }, seenAt }: Sighting, identity: string, now: number): number {
  if (!spec.holderIdentity || spec.holderIdentity === identity) return 0
  return Math.max(0, seenAt + (spec.leaseDurationSeconds ?? 0) * 1000 - now)
}
