import { setTimeout as delay } from 'node:timers/promises'
import { ShimError } from '../../lib/errors.ts'

const POLL_MS = 250
/** Nothing takes longer, unless it hangs. */
const LIMIT_MS = 240_000
const RETRY_MS = 500

/** Waits until it is so. Rejects with the problem if that takes too long. */
export async function until(holds: () => boolean | Promise<boolean>, problem: () => string): Promise<void> {
  const giveUpAt = performance.now() + LIMIT_MS
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`${problem()}, after ${LIMIT_MS / 1000} s`)
    await delay(POLL_MS)
  }
}

/** Makes a request again as long as the API server is away. */
export async function retried(request: () => Promise<unknown>): Promise<void> {
  const giveUpAt = performance.now() + LIMIT_MS
  for (let tries = 1; ; tries += 1) {
    try {
      await request()
      return
    } catch (error) {
      if (!(error instanceof ShimError)) throw error
      // A request may have had its effect although its answer was lost.
      if (error.code === 'ClusterConflict' && tries > 1) return
      if (error.code !== 'ClusterAway' || performance.now() > giveUpAt) throw error
      await delay(RETRY_MS)
    }
  }
}
