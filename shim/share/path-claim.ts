import { type ClaimChange, type ClaimLease, isSharedFailure } from '../../kube/resources/claim-lease.ts'
import { callerLeft } from '../../lib/async/bounded-wait.ts'
import type { ShimError } from '../../lib/errors.ts'
import type { PathClaim } from '../nix/sharing.ts'
import { describePull } from '../pull/progress.ts'
import type { HeldLease } from './leases/held-lease.ts'
import { withNode } from './leases/join-nodes.ts'
import { endOf, type LeadingRun } from './local-runs.ts'

export interface PathClaimOptions {
  /** Undefined: only this process knows of the claim. */
  readonly held?: HeldLease | undefined
  readonly lead: LeadingRun
  readonly self: string
  /** Whether other nodes can copy from this one. */
  readonly serves: boolean
  /** Tells other nodes that this one has the path, if the claim was lost meanwhile. */
  readonly join?: () => Promise<void>
  /** Of the run. A claim does not outlive it. */
  readonly signal: AbortSignal
}

export function createPathClaim({ held, lead, self, serves, join, signal }: PathClaimOptions): PathClaim {
  let ending: Promise<void> | undefined

  async function release(failure: ShimError | undefined): Promise<void> {
    signal.removeEventListener('abort', leave)
    const isReleased = await held?.release(lease => outcome(lease, failure))
    if (isReleased === false && !failure && serves) await join?.()
    // Not before: another run of this node would take the Lease that is just released.
    lead.end(failure ? endOf(failure) : { kind: 'here' })
  }

  function outcome({ nodes }: ClaimLease, failure: ShimError | undefined): ClaimChange {
    if (!failure) return { progress: null, nodes: serves ? withNode(nodes, self) : nodes }
    const { code, message } = failure
    return { progress: null, failure: isSharedFailure(code) ? { code, message, node: self } : null }
  }

  const end = (failure?: ShimError) => {
    ending ??= release(failure)
    return ending
  }
  const leave = () => void end(callerLeft(signal))
  signal.addEventListener('abort', leave, { once: true })
  if (signal.aborted) leave()
  return {
    progress(progress) {
      if (ending) return
      lead.progress(progress)
      if (progress.phase !== 'log') held?.tell(describePull(progress))
    },
    end,
  }
}
