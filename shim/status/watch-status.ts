import { createChangeSignal } from '../../lib/async/change-signal.ts'
import { pause } from '../../lib/async/retry.ts'
import type { StreamHandler } from '../proxy/contract.ts'
import type { PullLog } from '../pull/pull-log.ts'
import { SHIM_STATUS } from '../wire/status.ts'
import { createDiskUse, type DiskUse, type DiskUseOptions } from './disk-use.ts'
import { type ShimFacts, statusMessage } from './status-message.ts'

export interface WatchStatusOptions extends DiskUseOptions {
  readonly shim: ShimFacts
  readonly pullLog: PullLog
  /** Aborted when the shim stops, so that watchers do not delay it. */
  readonly stopping: AbortSignal
}

/** Pause after a report: a build makes progress faster than people can read. */
const PAUSE_MS = 250
/** Disk use may change without the shim, and containerd may stop and start. */
const MEASURE_AGAIN_MS = 5000

/** `enbi.v1alpha1.Status/Watch`. */
export function createWatchStatus({ shim, pullLog, stopping, ...options }: WatchStatusOptions): StreamHandler {
  const diskUse = createDiskUse(options)
  const measure = async (): Promise<Measurement> => ({
    changes: pullLog.imageChanges(),
    at: Date.now(),
    diskUse: await diskUse(),
  })
  const report = (latest: Measurement) =>
    SHIM_STATUS.Watch.responseSerialize(statusMessage(shim, pullLog, latest.diskUse))
  const isOld = ({ changes, at }: Measurement) =>
    changes !== pullLog.imageChanges() || Date.now() - at >= MEASURE_AGAIN_MS

  async function* follow(end: AbortSignal): AsyncGenerator<Buffer> {
    using changes = createChangeSignal(end)
    using _ = subscribe(pullLog.onChange, changes.notify)
    let latest = await measure()
    let sent: Buffer | undefined
    while (!end.aborted) {
      const message = report(latest)
      if (!sent?.equals(message)) yield message
      sent = message
      await changes.changed(MEASURE_AGAIN_MS)
      await pause(PAUSE_MS, end)
      if (isOld(latest)) latest = await measure()
    }
  }

  return async function* watchStatus({ request, signal }) {
    if (SHIM_STATUS.Watch.requestDeserialize(request).watch) yield* follow(AbortSignal.any([signal, stopping]))
    else yield report(await measure())
  }
}

function subscribe(onChange: PullLog['onChange'], listener: () => void): Disposable {
  return { [Symbol.dispose]: onChange(listener) }
}

interface Measurement {
  /** The pull log's counter before the measurement. */
  readonly changes: number
  readonly at: number
  readonly diskUse: DiskUse
}
