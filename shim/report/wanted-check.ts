import { setTimeout as delay } from 'node:timers/promises'
import { RetryableError } from '../errors.ts'
import type { WaitedFor } from './reporter.ts'

export interface WantedCheckOptions {
  readonly waitedFor: () => readonly WaitedFor[]
  /** Between two looks at one NixBuild. */
  readonly intervalMs: number
  readonly signal: AbortSignal
}

/**
 * Whoever waits for a recipe whose NixBuild has been deleted is sent away: kubelets go on waiting for images of pods that are gone
 * (kubernetes#125050). One look is not enough, the controller may just be making it anew; an API server that is away says nothing.
 */
export async function watchWanted({ waitedFor, intervalMs, signal }: WantedCheckOptions): Promise<void> {
  let missing = new Set<string>()
  while (!signal.aborted) {
    await delay(intervalMs, undefined, { signal }).catch(() => {})
    const stillMissing = new Set<string>()
    for (const waited of waitedFor()) {
      const isFresh = Date.now() - waited.seenAt < intervalMs
      if (isFresh || signal.aborted || !(await waited.isGone().catch(() => false))) continue
      if (missing.has(waited.key)) waited.leave(new RetryableError('Cancelled', UNWANTED))
      else stillMissing.add(waited.key)
    }
    missing = stillMissing
  }
}

const UNWANTED = 'nobody in the cluster wants the image any more: its NixBuild was deleted'
