import { CLAIM_LABEL, CLAIM_OF_PATH, CLAIM_OF_SLOT } from '../../kube/resources/names.ts'

/** What is read of a Lease of CLAIMS_NAMESPACE. */
export interface ClaimView {
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly labels: Readonly<Record<string, string>>
  /** Empty: it is released. */
  readonly holder: string
}

/** How long claims have stayed as they are, by name. */
export type SeenClaims = ReadonlyMap<string, SeenClaim>

interface SeenClaim {
  readonly resourceVersion: string
  /** When it was first seen like that, in milliseconds by the clock of this process: nodes have other clocks. */
  readonly since: number
}

export interface StaleClaimsFacts {
  /** All that there are. */
  readonly claims: readonly ClaimView[]
  /** As the last look has left it. */
  readonly seen: SeenClaims
  /** Hashes of the store paths that a node has, of those that the claims are about. */
  readonly present: ReadonlySet<string>
  readonly now: number
}

/** A released claim, and a held slot, which lasts a minute, in milliseconds. */
const IDLE_MS = 600_000
/** A held claim, whose build or whose network may stand still, in milliseconds. */
const LOST_MS = 3_600_000

const PATH_NAME = /^path-([0-9a-z]{32})$/

/** The hash of the store path that the Lease is about; undefined if it is about none. */
export function hashOfClaim({ name, labels }: ClaimView): string | undefined {
  return labels[CLAIM_LABEL] === CLAIM_OF_PATH ? PATH_NAME.exec(name)?.[1] : undefined
}

/** The claims and slots that nobody needs any more. The others that are like before keep their time. */
export function findStaleClaims({ claims, seen, present, now }: StaleClaimsFacts): {
  readonly stale: readonly ClaimView[]
  readonly seen: SeenClaims
} {
  const next = new Map<string, SeenClaim>()
  const stale: ClaimView[] = []
  for (const claim of claims) {
    const { name, resourceVersion } = claim
    const last = seen.get(name)
    const since = last?.resourceVersion === resourceVersion ? last.since : now
    next.set(name, { resourceVersion, since })
    if (isStale(claim, { present, unchangedMs: now - since })) stale.push(claim)
  }
  return { stale, seen: next }
}

interface Idleness {
  readonly present: ReadonlySet<string>
  readonly unchangedMs: number
}

/** A path that a node has keeps its claim, which names those who have it. Leases of others are left alone. */
function isStale(claim: ClaimView, { present, unchangedMs }: Idleness): boolean {
  const isHeld = claim.holder !== ''
  if (claim.labels[CLAIM_LABEL] === CLAIM_OF_SLOT) return !isHeld || unchangedMs >= IDLE_MS
  const hash = hashOfClaim(claim)
  if (hash === undefined) return false
  if (isHeld) return unchangedMs >= LOST_MS
  return unchangedMs >= IDLE_MS && !present.has(hash)
}
