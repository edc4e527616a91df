import { setTimeout as delay } from 'node:timers/promises'
import { untilAborted } from '../../lib/async/bounded-wait.ts'
import { retry } from '../../lib/async/retry.ts'
import { isContainerdAway } from '../../lib/errors.ts'

const PAUSE_MS = 100

/**
 * Asks again while containerd is away: a call is held as those are that are passed on. Throws Cancelled once `signal`
 * aborts.
 */
export function whenContainerdAnswers<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  return retry(() => untilAborted(ask(), signal), {
    mayPass: isContainerdAway,
    beforeNext: () => untilAborted(delay(PAUSE_MS), signal),
  })
}
