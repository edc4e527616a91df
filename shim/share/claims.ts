import type { Logger } from 'pino'
import { isConflict } from '../../kube/client/api-error.ts'
import { type ClaimLease, claimPatch, pathClaimName } from '../../kube/resources/claim-lease.ts'
import { messageOf, ShimError } from '../../lib/errors.ts'
import { setBounded } from '../../lib/queues/set-bounded.ts'
import type { PathClaim, SharedPath } from '../nix/sharing.ts'
import { type Decision, decide } from './decide.ts'
import { type ClaimKube, createLease, readLease, writeLease } from './leases/claim-kube.ts'
import { holdLease } from './leases/held-lease.ts'
import { joinNodes } from './leases/join-nodes.ts'
import type { Seen } from './leases/lease-view.ts'
import { createPathClaim } from './path-claim.ts'
import type { Background } from './runs/background.ts'
import type { LeadingRun } from './runs/local-runs.ts'
import type { ShareTimes } from './settings.ts'

export interface ClaimsOptions {
  readonly kube: () => Promise<ClaimKube>
  readonly hasCluster: boolean
  readonly self: string
  readonly serves: boolean
  /** Whether they get what this one builds from a store. */
  readonly pushes: boolean
  readonly mayBuild: boolean
  readonly times: ShareTimes
  readonly background: Background
  readonly logger: Logger
}

/** The run that wants the path. */
export interface Claimant {
  readonly lead: LeadingRun
  readonly signal: AbortSignal
}

export interface Claims {
  /** Whether others can get what this node builds: otherwise nobody needs to wait for it, and it claims by itself. */
  readonly offers: boolean
  /** A claim, or undefined if the path may be had from another node. Throws only Cancelled. */
  attempt(path: SharedPath, claimant: Claimant): Promise<PathClaim | undefined>
  /** What `attempt` has seen a moment ago. */
  takeSeen(path: SharedPath): Seen | undefined
  decide(path: SharedPath, seen: Seen, unusable: ReadonlySet<string>): Decision
  /** Do not fail again for the same reason soon: any node can say that a path can never be built. */
  heard(path: SharedPath): void
  /** Undefined if another node was faster. Nobody can copy from the nodes in `gone`. Throws the errors of `Kube`. */
  acquire(path: SharedPath, decision: Acquiring, gone: ReadonlySet<string>): Promise<ClaimLease | undefined>
  /** A claim on this Lease; without one, only this process knows of it. */
  hold(path: SharedPath, lease: ClaimLease | undefined, claimant: Claimant): Promise<PathClaim>
}

export type Acquiring = Extract<Decision, { readonly kind: 'create' | 'take' }>

const NONE: ReadonlySet<string> = new Set()
const MAX_SEEN = 256
const MAX_HEARD = 1_000

export function createClaims(options: ClaimsOptions): Claims {
  const { kube, hasCluster, self, serves, pushes, mayBuild, times, background, logger } = options
  const offers = serves || pushes
  const seenBefore = new Map<string, Seen>()
  const heardUntil = new Map<string, number>()
  let lastProblem = ''

  const claims: Claims = {
    offers,
    async attempt(path, claimant) {
      const name = pathClaimName(path.storePath)
      if (name === undefined) return claims.hold(path, undefined, claimant)
      try {
        const lease = await readLease(await kube(), name, { signal: claimant.signal, timeoutMs: times.askMs })
        const seen = { lease, seenAt: performance.now() }
        const decision = claims.decide(path, seen, NONE)
        const isAcquiring = decision.kind === 'create' || decision.kind === 'take'
        if (decision.kind === 'alone' || (isAcquiring && !offers)) return claims.hold(path, undefined, claimant)
        if (isAcquiring) {
          const acquired = await claims.acquire(path, decision, NONE)
          lastProblem = ''
          return acquired && (await claims.hold(path, acquired, claimant))
        }
        setBounded(seenBefore, path.drvPath, seen, MAX_SEEN)
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
      return seen && performance.now() - seen.seenAt < times.seenMs ? seen : undefined
    },
    decide({ storePath, drvPath }, seen, unusable) {
      const now = performance.now()
      const believes = (heardUntil.get(drvPath) ?? 0) <= now
      const decision = decide({ seen, drvPath, self, now, mayBuild, unusable, believes })
      // An earlier claim of this process still pushes the path, or is being released.
      const isOwn = decision.kind === 'take' && decision.lease.holder === self
      return isOwn && background.has(pathClaimName(storePath) ?? '') ? { kind: 'alone' } : decision
    },
    heard: ({ drvPath }) => setBounded(heardUntil, drvPath, performance.now() + times.believeMs, MAX_HEARD),
    async acquire(path, decision, gone) {
      seenBefore.delete(path.drvPath)
      const name = pathClaimName(path.storePath)
      if (name === undefined) return undefined
      const limits = { timeoutMs: times.askMs }
      const held = { holder: self, durationMs: times.leaseMs }
      try {
        const client = await kube()
        if (decision.kind === 'create') return await createLease(client, name, { ...held, path }, limits)
        const { resourceVersion, nodes: before } = decision.lease
        // This node does not have the path, or it would not want to build it.
        const nodes = before.filter(node => node !== self && !gone.has(node))
        const change = { ...held, derivation: path.drvPath, progress: null, nodes, failure: null }
        return await writeLease(client, name, claimPatch(resourceVersion, change), limits)
      } catch (error) {
        if (isConflict(error)) return undefined
        throw error
      }
    },
    async hold({ storePath }, lease, { lead, signal }) {
      const name = pathClaimName(storePath)
      const isHeld = lease !== undefined && name !== undefined
      // An earlier claim of this process must not release this one.
      if (isHeld) background.end(name)
      const held = isHeld
        ? holdLease({
            ...{ kube: await kube(), name, lease, self, logger },
            ...{ durationMs: times.leaseMs, renewMs: times.renewMs, endMs: times.endMs },
          })
        : undefined
      const join = async () => name === undefined || joinNodes({ kube, name, self, limitMs: times.endMs, logger })
      const isShared = hasCluster && name !== undefined
      return createPathClaim({
        ...{ name: name ?? storePath, held, lead, self, background, times, signal },
        ...{ serves: serves && isShared, join },
      })
    },
  }
  return claims
}
