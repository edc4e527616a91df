import { callerLeft } from '../../lib/async/bounded-wait.ts'
import { pause } from '../../lib/async/retry.ts'
import type { FindCall } from '../nix/sharing.ts'
import type { Acquiring } from './claims.ts'
import type { LeaseView } from './leases/lease-view.ts'

/** Nodes that wait for the same lost holder do not all write at the same time. In milliseconds. */
const CROWD_MS = 500

/** Waits a little before a Lease is taken from a lost holder. */
export async function isStillDue(decision: Acquiring, view: LeaseView, signal: AbortSignal): Promise<boolean> {
  if (decision.kind === 'create' || decision.lease.holder === '') return true
  await pause(Math.random() * CROWD_MS, signal)
  return view.seen?.lease?.resourceVersion === decision.lease.resourceVersion
}

/** Tells each progress once. */
export function createTeller({ onProgress }: FindCall): (node: string | undefined, progress: string) => void {
  let last = ''
  return (node = 'another node', progress) => {
    const told = `${node} ${progress}`
    if (told !== last) onProgress({ phase: 'waiting', node, progress })
    last = told
  }
}

export function throwIfLeft(signal: AbortSignal): void {
  if (signal.aborted) throw callerLeft(signal)
}
