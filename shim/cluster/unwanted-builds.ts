import { pause } from '../../lib/async/retry.ts'
import { RetryableError } from '../../lib/errors.ts'
import type { WaitedFor } from './status-writers.ts'

export interface UnwantedBuildsOptions {
  readonly waitedFor: () => readonly WaitedFor[]
  /** Time between two checks of one NixBuild. */
  readonly intervalMs: number
  readonly signal: AbortSignal
}

/**
 * Cancels requests whose NixBuild has been deleted, because kubelets keep waiting for images of deleted pods
 * (kubernetes#125050). It takes two checks in a row: the controller may be making the NixBuild again. An unreachable
 * API server decides nothing. Checks run concurrently, so that a namespace with slow responses does not delay others.
 */
export async function cancelUnwantedBuilds({ waitedFor, intervalMs, signal }: UnwantedBuildsOptions): Promise<void> {
  const checking = new Set<string>()
  const missing = new Set<string>()

  async function check({ key, isGone, cancel }: WaitedFor): Promise<void> {
    checking.add(key)
    const gone = await isGone().catch(() => false)
    checking.delete(key)
    const wasMissing = missing.delete(key)
    if (!gone || signal.aborted) return
    if (wasMissing) cancel(new RetryableError('Cancelled', UNWANTED))
    else missing.add(key)
  }

  while (!signal.aborted) {
    await pause(intervalMs, signal)
    const waited = signal.aborted ? [] : waitedFor()
    const keys = new Set(waited.map(({ key }) => key))
    for (const key of missing) if (!keys.has(key)) missing.delete(key)
    for (const one of waited) {
      if (checking.has(one.key)) continue
      if (Date.now() - one.seenAt < intervalMs) missing.delete(one.key)
      else void check(one)
    }
  }
}

const UNWANTED = 'the pull is cancelled because its NixBuild was deleted'
