import type { Logger } from 'pino'
import { isConflict } from '../../kube/client/api-error.ts'
import type { Kube } from '../../kube/client/contract.ts'
import { claimLeases, releasedClaim } from '../../kube/resources/claim-lease.ts'
import { leases } from '../../kube/resources/lease.ts'
import { CLAIM_LABEL, CLAIMS_NAMESPACE } from '../../kube/resources/names.ts'
import { pause } from '../../lib/async/retry.ts'
import { messageOf } from '../../lib/errors.ts'
import { hashOfStorePath } from '../../recipes/store-path.ts'
import type { NodeBuilds } from '../state/node-builds.ts'
import type { NixNodeView } from '../views/nixnode.ts'
import { type ClaimView, findStaleClaims, hashOfClaim, type SeenClaims } from './stale-claims.ts'
import { findUnclaimedPaths } from './unclaimed-paths.ts'

export interface KeepClaimsOptions {
  readonly kube: Pick<Kube, 'list' | 'create' | 'delete'>
  readonly nodeBuilds: Pick<NodeBuilds, 'all' | 'onNode'>
  readonly nixNodes: { values(): Iterable<Pick<NixNodeView, 'name' | 'serves'>> }
  /** Ends it. */
  readonly signal: AbortSignal
  readonly logger: Logger
  readonly intervalMs?: number
  readonly now?: () => number
}

const INTERVAL_MS = 600_000
/** Between two pauses: the leader has more urgent requests. */
const MAX_DELETIONS = 5_000
const MAX_CREATED = 500

/**
 * From time to time, deletes claims and slots that nobody needs any more, which nodes have no right to do. And makes those of paths that
 * nodes have without a claim, so that others copy them.
 */
export async function keepClaims(options: KeepClaimsOptions): Promise<void> {
  const { signal, logger, intervalMs = INTERVAL_MS } = options
  let seen: SeenClaims = new Map()
  let told = ''
  while (!signal.aborted) {
    try {
      seen = await keepOnce(options, seen)
      told = ''
    } catch (error) {
      const message = messageOf(error)
      if (!signal.aborted && message !== told)
        logger.warn({ err: message }, 'cannot keep the claims in order, will retry')
      told = message
    }
    await pause(intervalMs, signal)
  }
}

async function keepOnce(options: KeepClaimsOptions, before: SeenClaims) {
  const { kube, nodeBuilds, signal, now = Date.now } = options
  const claims = await listClaims(kube)
  const present = presentOf(claims, nodeBuilds)
  const { stale, seen } = findStaleClaims({ claims, seen: before, present, now: now() })
  for (const { name, uid, resourceVersion } of stale.slice(0, MAX_DELETIONS)) {
    if (signal.aborted) break
    // One that has been taken meanwhile stays.
    await kube.delete(leases, { namespace: CLAIMS_NAMESPACE, name, uid, resourceVersion })
  }
  await makeMissing(options, new Set(claims.map(({ name }) => name)))
  return seen
}

async function makeMissing(
  { kube, nixNodes, nodeBuilds, signal }: KeepClaimsOptions,
  claims: ReadonlySet<string>,
): Promise<void> {
  const facts = { claims, nixNodes: nixNodes.values(), nodeBuilds, max: MAX_CREATED }
  for (const { name, storePath, nodes } of findUnclaimedPaths(facts)) {
    if (signal.aborted) return
    const body = releasedClaim({ storePath, nodes })
    await kube.create(claimLeases, { namespace: CLAIMS_NAMESPACE, name, body }).catch(error => {
      // A node was faster.
      if (!isConflict(error)) throw error
    })
  }
}

/** A quota limits their number (deploy/base/claims.yaml). */
async function listClaims(kube: KeepClaimsOptions['kube']): Promise<ClaimView[]> {
  const claims: ClaimView[] = []
  await kube.list(leases, { namespace: CLAIMS_NAMESPACE, labelSelector: CLAIM_LABEL }, ({ metadata, spec }) => {
    const { name, uid, resourceVersion, labels } = metadata
    claims.push({ name, uid, resourceVersion, labels, holder: spec.holderIdentity ?? '' })
  })
  return claims
}

/** Thousands of nodes have thousands of paths, and only those of claims are of interest. */
function presentOf(claims: readonly ClaimView[], nodeBuilds: KeepClaimsOptions['nodeBuilds']): Set<string> {
  const wanted = new Set(claims.flatMap(claim => hashOfClaim(claim) ?? []))
  const present = new Set<string>()
  if (wanted.size === 0) return present
  for (const { details } of nodeBuilds.all()) {
    const hash = hashOfStorePath(details.storePath ?? '')
    if (wanted.has(hash)) present.add(hash)
  }
  return present
}
