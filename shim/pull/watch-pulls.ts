import { normaliseReference } from '../../recipes/reference.ts'
import type { StreamHandler } from '../proxy/contract.ts'
import { decodeWatchRequest, encodePullProgress } from './enbi-messages.ts'
import type { ProgressHub } from './progress.ts'
import { toWire } from './wire-progress.ts'

/** `enbi.v1alpha1.Pulls/Watch`: the progress of every pull of one image. */
export function createWatchPulls(progress: ProgressHub): StreamHandler {
  return async function* watchPulls({ request, signal }) {
    const events = progress.watch(normaliseReference(decodeWatchRequest(request).image), signal)
    yield encodePullProgress({ phase: 'watching' })
    for await (const event of events) yield encodePullProgress(toWire(event))
  }
}
