import { setTimeout as delay } from 'node:timers/promises'
import type { StreamHandler } from '../proxy/contract.ts'
import type { Activity } from '../pull/activity.ts'
import { createBell } from './bell.ts'
import { createHoldings, type HoldingsOptions } from './holdings.ts'
import { decodeStatusRequest, encodeStatusReport } from './messages.ts'
import { type ShimFacts, statusMessage } from './status-message.ts'

export interface WatchStatusOptions extends HoldingsOptions {
  readonly shim: ShimFacts
  readonly activity: Activity
  /** Aborted when the shim stops: whoever watches must not hold it up. */
  readonly stopping: AbortSignal
}

/** A build tells of itself more often than anybody can read. */
const PAUSE_MS = 250
/** What is held may change without the shim, and containerd may come and go. */
const LOOK_AGAIN_MS = 5000

/** `enbi.v1alpha1.Status/Watch`. */
export function createWatchStatus(options: WatchStatusOptions): StreamHandler {
  const { shim, activity, stopping } = options
  const holdings = createHoldings(options)

  return async function* watchStatus({ request, signal }) {
    const { watch } = decodeStatusRequest(request)
    const end = AbortSignal.any([signal, stopping])
    using bell = createBell(activity.onChange, end)
    let lookedAt = { held: await holdings(), at: Date.now(), changes: activity.imageChanges() }
    let told: Buffer | undefined
    while (!end.aborted) {
      const message = encodeStatusReport(statusMessage(shim, activity, lookedAt.held))
      if (!told?.equals(message)) yield message
      told = message
      if (!watch) return
      await bell.rung(LOOK_AGAIN_MS)
      await delay(PAUSE_MS, undefined, { signal: end }).catch(() => {})
      const changes = activity.imageChanges()
      if (changes !== lookedAt.changes || Date.now() - lookedAt.at >= LOOK_AGAIN_MS)
        lookedAt = { held: await holdings(), at: Date.now(), changes }
    }
  }
}
