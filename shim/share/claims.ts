import type { Logger } from 'pino'
import { isConflict } from '../../kube/client/api-error.ts'
import { type ClaimLease, claimPatch, pathClaimName } from '../../kube/resources/claim-lease.ts'
import { messageOf, ShimError } from '../../lib/errors.ts'
import type { PathClaim, SharedPath } from '../nix/sharing.ts'
import { type Decision, decide } from './decide.ts'
import { type ClaimKube, createLease, readLease, writeLease } from './leases/claim-kube.ts'
import { holdLease } from './leases/held-lease.ts'
import { joinNodes } from './leases/join-nodes.ts'
import type { Seen } from './leases/lease-view.ts'
import type { LeadingRun } from './local-runs.ts'
import { createPathClaim } from './path-claim.ts'
import type { ShareTimes } from './settings.ts'

export interface ClaimsOptions {
  readonly kube: () => Promise<ClaimKube>
  readonly self: string
  readonly serves: boolean
  readonly mayBuild: boolean
  readonly times: ShareTimes
  readonly logger: Logger
}

/** The run that wants the path. */
export interface Claimant {
  readonly lead: LeadingRun
  readonly signal: AbortSignal
}

export interface Claims {
  /** A claim, or undefined if the path may be had from another node. Throws only Cancelled. */
  attempt(path: SharedPath, claimant: Claimant): Promise<PathClaim | undefined>
  /** What `attempt` has seen a moment ago. */
  takeSeen(path: SharedPath): Seen | undefined
  decide(path: SharedPath, seen: Seen, unusable: ReadonlySet<string>): Decision
  /** Do not fail again for the same reason soon: any node can say that a path can never be built. */
  heard(path: SharedPath): void
  /** Undefined if another node was faster. Throws the errors of `Kube`. */
  acquire(path: SharedPath, decision: Acquiring): Promise<ClaimLease | undefined>
  /** A claim on this Lease; without one, only this process knows of it. */
  hold(path: SharedPath, lease: ClaimLease | undefined, claimant: Claimant): Promise<PathClaim>
}

export type Acquiring = Extract<Decision, { readonly kind: 'create' | 'take' }>

const NONE: ReadonlySet<string> = new Set()
const MAX_SEEN = 256
const MAX_HEARD = 1_000

export function createClaims({ kube, self, serves, mayBuild, times, logger }: ClaimsOptions): Claims {
  const seenBefore = new Map<string, Seen>()
  const heardUntil = new Map<string, number>()
  let lastProblem = ''

  const claims: Claims = {
    async attempt(path, claimant) {
      const name = pathClaimName(path.storePath)
      if (name === undefined) return claims.hold(path, undefined, claimant)
      try {
        const lease = await readLease(await kube(), name, { signal: claimant.signal, timeoutMs: times.askMs })
        const seen = { lease, seenAt: performance.now() }
        const decision = claims.decide(path, seen, NONE)
        if (decision.kind === 'alone') return claims.hold(path, undefined, claimant)
        if (decision.kind === 'create' || decision.kind === 'take') {
          const acquired = await claims.acquire(path, decision)
          lastProblem = ''
          return acquired && (await claims.hold(path, acquired, claimant))
        }
        keep(seenBefore, path.drvPath, seen, MAX_SEEN)
        return undefined
      } catch (error) {
        if (error instanceof ShimError && error.code === 'Cancelled') throw error
        const problem = messageOf(error)
        if (problem !== lastProblem)
          logger.warn({ err: problem }, 'cannot claim a build, so this node builds by itself')
        lastProblem = problem
        return claims.hold(path, undefined, claimant)
      }
    },
    takeSeen({ drvPath }) {
      const seen = seenBefore.get(drvPath)
      seenBefore.delete(drvPath)
      return seen
    },
    decide({ drvPath }, seen, unusable) {
      const now = performance.now()
      const believes = (heardUntil.get(drvPath) ?? 0) <= now
      return decide({ seen, drvPath, self, now, mayBuild, unusable, believes })
    },
    heard: ({ drvPath }) => keep(heardUntil, drvPath, performance.now() + times.believeMs, MAX_HEARD),
    async acquire(path, decision) {
      const name = pathClaimName(path.storePath)
      if (name === undefined) return undefined
      const limits = { timeoutMs: times.askMs }
      const held = { holder: self, durationMs: times.leaseMs }
      try {
        const client = await kube()
        if (decision.kind === 'create') return await createLease(client, name, { ...held, path }, limits)
        const change = { ...held, derivation: path.drvPath, progress: null, nodes: [], failure: null }
        return await writeLease(client, name, claimPatch(decision.lease.resourceVersion, change), limits)
      } catch (error) {
        if (isConflict(error)) return undefined
        throw error
      }
    },
    async hold({ storePath }, lease, { lead, signal }) {
      const name = pathClaimName(storePath)
      const isHeld = lease !== undefined && name !== undefined
      const held = isHeld
        ? holdLease({
            ...{ kube: await kube(), name, lease, self, logger },
            ...{ durationMs: times.leaseMs, renewMs: times.renewMs, endMs: times.endMs },
          })
        : undefined
      const join = async () => {
        if (name !== undefined) await joinNodes({ kube, name, self, limitMs: times.endMs, logger })
      }
      return createPathClaim({ held, lead, self, serves, join, signal })
    },
  }
  return claims
}

/** Drops the oldest beyond `max`. */
function keep<Value>(map: Map<string, Value>, key: string, value: Value, max: number): void {
  map.delete(key)
  const [oldest] = map.keys()
  if (map.size >= max && oldest !== undefined) map.delete(oldest)
  map.set(key, value)
}
