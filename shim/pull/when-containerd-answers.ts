import { setTimeout as delay } from 'node:timers/promises'
import { untilAborted } from '../../lib/async/until-aborted.ts'
import { isContainerdAway } from '../../lib/errors.ts'

const PAUSE_MS = 100

/**
 * Asks again while containerd is away: a call is held as those are that are passed on. Throws Cancelled once `signal`
 * aborts.
 */
export async function whenContainerdAnswers<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await untilAborted(ask(), signal)
    } catch (error) {
      if (!isContainerdAway(error)) throw error
    }
    await untilAborted(delay(PAUSE_MS), signal)
  }
}
