import type { Logger } from 'pino'
import { isConflict } from '../../kube/client/api-error.ts'
import { type ClaimLease, claimPatch, pathClaimName } from '../../kube/resources/claim-lease.ts'
import { messageOf, ShimError } from '../../lib/errors.ts'
import type { PathClaim } from '../nix/sharing.ts'
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
  attempt(storePath: string, claimant: Claimant): Promise<PathClaim | undefined>
  /** What `attempt` has seen a moment ago. */
  takeSeen(storePath: string): Seen | undefined
  decide(storePath: string, seen: Seen, unusable: ReadonlySet<string>): Decision
  /** Do not fail again for the same reason soon: any node can say that a path can never be built. */
  heard(storePath: string): void
  /** Undefined if another node was faster. Throws the errors of `Kube`. */
  acquire(storePath: string, decision: Acquiring): Promise<ClaimLease | undefined>
  /** A claim on this Lease; without one, only this process knows of it. */
  hold(storePath: string, lease: ClaimLease | undefined, claimant: Claimant): Promise<PathClaim>
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
    async attempt(storePath, claimant) {
      const name = pathClaimName(storePath)
      if (name === undefined) return claims.hold(storePath, undefined, claimant)
      try {
        const lease = await readLease(await kube(), name, { signal: claimant.signal, timeoutMs: times.askMs })
        const seen = { lease, seenAt: performance.now() }
        const decision = claims.decide(storePath, seen, NONE)
        if (decision.kind === 'create' || decision.kind === 'take') {
          const acquired = await claims.acquire(storePath, decision)
          lastProblem = ''
          return acquired && (await claims.hold(storePath, acquired, claimant))
        }
        keep(seenBefore, storePath, seen, MAX_SEEN)
        return undefined
      } catch (error) {
        if (error instanceof ShimError && error.code === 'Cancelled') throw error
        const problem = messageOf(error)
        if (problem !== lastProblem)
          logger.warn({ err: problem }, 'cannot claim a build, so this node builds by itself')
        lastProblem = problem
        return claims.hold(storePath, undefined, claimant)
      }
    },
    takeSeen(storePath) {
      const seen = seenBefore.get(storePath)
      seenBefore.delete(storePath)
      return seen
    },
    decide(storePath, seen, unusable) {
      const now = performance.now()
      const believes = (heardUntil.get(storePath) ?? 0) <= now
      return decide({ seen, self, now, mayBuild, unusable, believes })
    },
    heard: storePath => keep(heardUntil, storePath, performance.now() + times.believeMs, MAX_HEARD),
    async acquire(storePath, decision) {
      const name = pathClaimName(storePath)
      if (name === undefined) return undefined
      const limits = { timeoutMs: times.askMs }
      const held = { holder: self, durationMs: times.leaseMs }
      try {
        const client = await kube()
        if (decision.kind === 'create') return await createLease(client, name, { ...held, storePath }, limits)
        const change = { ...held, progress: null, nodes: [], failure: null }
        return await writeLease(client, name, claimPatch(decision.lease.resourceVersion, change), limits)
      } catch (error) {
        if (isConflict(error)) return undefined
        throw error
      }
    },
    async hold(storePath, lease, { lead, signal }) {
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
