/** Times of claims, in milliseconds. */
export interface ShareTimes {
  /** Without a renewal for this long, a holder counts as lost. Whole seconds, at most CLAIM_LIMITS.durationMs. */
  readonly leaseMs: number
  readonly renewMs: number
  readonly slotMs: number
  readonly renewSlotMs: number
  /** Limit of one request while the caller holds a place for builds. */
  readonly askMs: number
  /** Longest time that the end of a claim or of a copy takes. */
  readonly endMs: number
  /** How long a claim is kept while its path is pushed. */
  readonly pushMs: number
  /** How old the knowledge of a claim or of the stores may be. */
  readonly seenMs: number
  /** Between two looks at a Lease that cannot be watched, because this node watches many. */
  readonly pollMs: number
  /** Between two looks for a slot. */
  readonly shortestPauseMs: number
  readonly longestPauseMs: number
  /** A node that gets no slot for this long copies without one: another node may hold them all indefinitely. */
  readonly slotlessMs: number
  /** How long a failure of another node is not believed a second time. */
  readonly believeMs: number
  /** How long a node does not look again whether others know that it has a path. */
  readonly announcedMs: number
  /** How long a node that has a path, but no address yet, is asked for one. */
  readonly silentMs: number
  /** How long the address of a node is kept. */
  readonly addressMs: number
  /** Limit of a question to a store. */
  readonly storeMs: number
  /** How long a store that did not answer is not asked. */
  readonly storeSilentMs: number
  /** Between two questions to the stores for a node that must not build. */
  readonly storeAgainMs: number
}

export const TIMES: ShareTimes = {
  leaseMs: 30_000,
  renewMs: 10_000,
  slotMs: 60_000,
  renewSlotMs: 20_000,
  askMs: 2_000,
  endMs: 3_000,
  pushMs: 900_000,
  seenMs: 2_000,
  pollMs: 15_000,
  shortestPauseMs: 1_000,
  longestPauseMs: 15_000,
  slotlessMs: 300_000,
  believeMs: 3_600_000,
  announcedMs: 3_600_000,
  silentMs: 10_000,
  addressMs: 600_000,
  storeMs: 2_000,
  storeSilentMs: 30_000,
  storeAgainMs: 30_000,
}
