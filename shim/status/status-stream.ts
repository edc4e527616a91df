import { lazy } from '../../lib/async/lazy.ts'
import type { StreamHandler } from '../proxy/contract.ts'
import type { WatchStatusOptions } from './watch-status.ts'

/** The shim's own method (see `protos/enbi.proto`). */
export const STATUS_PATH = '/enbi.v1alpha1.Status/Watch'

/** Tells what the shim does and holds. What that takes is loaded when somebody asks. */
export function createStatusStream(options: WatchStatusOptions): StreamHandler {
  const load = lazy(async () => {
    const { createWatchStatus } = await import('./watch-status.ts')
    return createWatchStatus(options)
  })
  return async function* status(call) {
    yield* (await load())(call)
  }
}
