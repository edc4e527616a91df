import type { Logger } from 'pino'
import type { Kube } from '../../kube/client/contract.ts'
import { leases } from '../../kube/resources/lease.ts'
import { CLAIM_LABEL, CLAIMS_NAMESPACE } from '../../kube/resources/names.ts'
import { pause } from '../../lib/async/retry.ts'
import { messageOf } from '../../lib/errors.ts'
import { STORE_DIR } from '../../recipes/store-path.ts'
import type { NodeBuilds } from '../state/node-builds.ts'
import { type ClaimView, findStaleClaims, hashOfClaim, type SeenClaims } from './stale-claims.ts'

export interface CleanClaimsOptions {
  readonly kube: Pick<Kube, 'list' | 'delete'>
  readonly nodeBuilds: Pick<NodeBuilds, 'all'>
  /** Ends it. */
  readonly signal: AbortSignal
  readonly logger: Logger
  readonly intervalMs?: number
  readonly now?: () => number
}

const INTERVAL_MS = 600_000
/** Deletions between two pauses: the leader has more urgent requests. */
const MAX_DELETIONS = 5_000

/** Deletes claims and slots that nobody needs any more, from time to time. The nodes have no right to delete them. */
export async function cleanClaims(options: CleanClaimsOptions): Promise<void> {
  const { signal, logger, intervalMs = INTERVAL_MS } = options
  let seen: SeenClaims = new Map()
  let told = ''
  while (!signal.aborted) {
    try {
      seen = await cleanOnce(options, seen)
      told = ''
    } catch (error) {
      const message = messageOf(error)
      if (!signal.aborted && message !== told) logger.warn({ err: message }, 'cannot remove old claims, will retry')
      told = message
    }
    await pause(intervalMs, signal)
  }
}

async function cleanOnce({ kube, nodeBuilds, signal, now = Date.now }: CleanClaimsOptions, before: SeenClaims) {
  const claims = await listClaims(kube)
  const present = presentOf(claims, nodeBuilds)
  const { stale, seen } = findStaleClaims({ claims, seen: before, present, now: now() })
  for (const { name, uid, resourceVersion } of stale.slice(0, MAX_DELETIONS)) {
    if (signal.aborted) break
    // One that has been taken meanwhile stays.
    await kube.delete(leases, { namespace: CLAIMS_NAMESPACE, name, uid, resourceVersion })
  }
  return seen
}

/** A quota limits their number (deploy/base/claims.yaml). */
async function listClaims(kube: CleanClaimsOptions['kube']): Promise<ClaimView[]> {
  const claims: ClaimView[] = []
  await kube.list(leases, { namespace: CLAIMS_NAMESPACE, labelSelector: CLAIM_LABEL }, ({ metadata, spec }) => {
    const { name, uid, resourceVersion, labels } = metadata
    claims.push({ name, uid, resourceVersion, labels, holder: spec.holderIdentity ?? '' })
  })
  return claims
}

/** Thousands of nodes have thousands of paths, and only those of claims are of interest. */
function presentOf(claims: readonly ClaimView[], nodeBuilds: CleanClaimsOptions['nodeBuilds']): Set<string> {
  const wanted = new Set(claims.flatMap(claim => hashOfClaim(claim) ?? []))
  const present = new Set<string>()
  if (wanted.size === 0) return present
  for (const { details } of nodeBuilds.all()) {
    const hash = details.storePath?.slice(HASH_BEGIN, HASH_BEGIN + HASH_LENGTH)
    if (hash !== undefined && wanted.has(hash)) present.add(hash)
  }
  return present
}

const HASH_BEGIN = STORE_DIR.length + 1
const HASH_LENGTH = 32
