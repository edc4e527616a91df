import { setTimeout as delay } from 'node:timers/promises'
import { RetryableError } from '../../lib/errors.ts'
import type { WaitedFor } from './status-writers.ts'

export interface WantedCheckOptions {
  readonly waitedFor: () => readonly WaitedFor[]
  /** Between two looks at one NixBuild. */
  readonly intervalMs: number
  readonly signal: AbortSignal
}

/**
 * Whoever waits for a recipe whose NixBuild has been deleted is sent away: kubelets go on waiting for images of pods that are gone
 * (kubernetes#125050). One look is not enough, the controller may just be making it anew; an API server that is away says nothing.
 * A look that takes long, as the NixBuilds of its namespace may have it, keeps no other from being taken.
 */
export async function cancelUnwantedBuilds({ waitedFor, intervalMs, signal }: WantedCheckOptions): Promise<void> {
  const looking = new Set<string>()
  const missing = new Set<string>()

  async function look({ key, isGone, leave }: WaitedFor): Promise<void> {
    looking.add(key)
    const gone = await isGone().catch(() => false)
    looking.delete(key)
    const wasMissing = missing.delete(key)
    if (!gone || signal.aborted) return
    if (wasMissing) leave(new RetryableError('Cancelled', UNWANTED))
    else missing.add(key)
  }

  while (!signal.aborted) {
    await delay(intervalMs, undefined, { signal }).catch(() => {})
    const waited = signal.aborted ? [] : waitedFor()
    const keys = new Set(waited.map(({ key }) => key))
    for (const key of missing) if (!keys.has(key)) missing.delete(key)
    for (const one of waited) {
      if (looking.has(one.key)) continue
      if (Date.now() - one.seenAt < intervalMs) missing.delete(one.key)
      else void look(one)
    }
  }
}

const UNWANTED = 'nobody in the cluster wants the image any more: its NixBuild was deleted'
