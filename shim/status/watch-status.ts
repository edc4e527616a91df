import { setTimeout as delay } from 'node:timers/promises'
import { createChangeSignal } from '../../lib/async/change-signal.ts'
import type { StreamHandler } from '../proxy/contract.ts'
import type { PullLog } from '../pull/pull-log.ts'
import { SHIM_STATUS } from '../wire/status.ts'
import { createDiskUse, type DiskUseOptions, type Held } from './disk-use.ts'
import { type ShimFacts, statusMessage } from './status-message.ts'

export interface WatchStatusOptions extends DiskUseOptions {
  readonly shim: ShimFacts
  readonly pullLog: PullLog
  /** Aborted when the shim stops, so that watchers do not delay it. */
  readonly stopping: AbortSignal
}

/** A build reports more often than people can read. */
const PAUSE_MS = 250
/** Disk use may change without the shim, and containerd may stop and start. */
const LOOK_AGAIN_MS = 5000

/** `enbi.v1alpha1.Status/Watch`. */
export function createWatchStatus({ shim, pullLog, stopping, ...options }: WatchStatusOptions): StreamHandler {
  const diskUse = createDiskUse(options)
  const look = async (): Promise<Look> => ({ changes: pullLog.imageChanges(), at: Date.now(), held: await diskUse() })
  const report = ({ held }: Look) => SHIM_STATUS.Watch.responseSerialize(statusMessage(shim, pullLog, held))
  const isOld = ({ changes, at }: Look) => changes !== pullLog.imageChanges() || Date.now() - at >= LOOK_AGAIN_MS

  async function* follow(end: AbortSignal): AsyncGenerator<Buffer> {
    using changes = createChangeSignal(end)
    using _ = subscribe(pullLog.onChange, changes.notify)
    let latest = await look()
    let told: Buffer | undefined
    while (!end.aborted) {
      const message = report(latest)
      if (!told?.equals(message)) yield message
      told = message
      await changes.changed(LOOK_AGAIN_MS)
      await delay(PAUSE_MS, undefined, { signal: end }).catch(() => {})
      if (isOld(latest)) latest = await look()
    }
  }

  return async function* watchStatus({ request, signal }) {
    if (SHIM_STATUS.Watch.requestDeserialize(request).watch) yield* follow(AbortSignal.any([signal, stopping]))
    else yield report(await look())
  }
}

function subscribe(onChange: PullLog['onChange'], listener: () => void): Disposable {
  return { [Symbol.dispose]: onChange(listener) }
}

/** One measurement of disk use. */
interface Look {
  /** The pull log's counter before the measurement. */
  readonly changes: number
  readonly at: number
  readonly held: Held
}
