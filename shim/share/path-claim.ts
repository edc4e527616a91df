import { type ClaimChange, type ClaimLease, isSharedFailure } from '../../kube/resources/claim-lease.ts'
import { callerLeft, unlessAborted, within } from '../../lib/async/bounded-wait.ts'
import { backOff } from '../../lib/async/retry.ts'
import type { ShimError } from '../../lib/errors.ts'
import type { PathClaim } from '../nix/sharing.ts'
import { describePull } from '../pull/progress.ts'
import type { HeldLease } from './leases/held-lease.ts'
import { withNode } from './leases/join-nodes.ts'
import type { Background } from './runs/background.ts'
import { endOf, type LeadingRun } from './runs/local-runs.ts'
import type { ShareTimes } from './settings.ts'

export interface PathClaimOptions {
  /** Of the claim. */
  readonly name: string
  /** Undefined: only this process knows of the claim. */
  readonly held?: HeldLease | undefined
  readonly lead: LeadingRun
  readonly self: string
  /** Whether other nodes can copy from this one. */
  readonly serves: boolean
  /** Tells other nodes that this one has the path, without a claim. Returns whether there was an answer. */
  readonly join: () => Promise<boolean>
  readonly background: Background
  readonly times: Pick<ShareTimes, 'leaseMs' | 'pushMs'>
  /** Of the run. A claim outlives it only to be released. */
  readonly signal: AbortSignal
}

export function createPathClaim(options: PathClaimOptions): PathClaim {
  const { name, held, lead, self, serves, join, background, times, signal } = options
  let ending: Promise<void> | undefined

  async function finish(failure: ShimError | undefined, pushed: Promise<void> | undefined): Promise<void> {
    signal.removeEventListener('abort', leave)
    if (held && pushed && !failure && !serves) return pushing(held, pushed)
    if (!(await tell(failure))) void background.start(name, signal => tellAgain(failure, signal))
    // Not before: another run of this node would take the Lease that is just released.
    lead.end(failure ? endOf(failure) : { kind: 'here' })
  }

  /** Others can copy nothing from this node: they wait for the store. */
  async function pushing(held: HeldLease, pushed: Promise<void>): Promise<void> {
    lead.end({ kind: 'here' })
    held.tell('pushing')
    await background.start(name, async signal => {
      await within(times.pushMs, unlessAborted(pushed, signal))
      if (!(await tell(undefined))) await tellAgain(undefined, signal)
    })
  }

  /** Whether other nodes know. */
  async function tell(failure: ShimError | undefined): Promise<boolean> {
    const release = (await held?.release(lease => outcome(lease, failure))) ?? 'lost'
    if (release !== 'lost') return release === 'released'
    return failure !== undefined || !serves || join()
  }

  /** Afterwards the claim has expired. */
  async function tellAgain(failure: ShimError | undefined, signal: AbortSignal): Promise<void> {
    const end = performance.now() + times.leaseMs
    for (let failures = 1; performance.now() < end; failures += 1) {
      await backOff(failures, signal)
      if (signal.aborted || (await tell(failure))) return
    }
  }

  function outcome({ nodes }: ClaimLease, failure: ShimError | undefined): ClaimChange {
    if (!failure) return { progress: null, nodes: serves ? withNode(nodes, self) : nodes }
    const { code, message } = failure
    return { progress: null, failure: isSharedFailure(code) ? { code, message, node: self } : null }
  }

  const end = (failure?: ShimError, pushed?: Promise<void>) => {
    ending ??= finish(failure, pushed)
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
