import * as v from 'valibot'
import { loadService, methodOf } from '../../lib/grpc/load-protos.ts'
import type { Method } from '../../lib/grpc/methods.ts'
import { WATCH_PULLS_PATH } from './methods.ts'

const watch = methodOf(loadService('enbi.proto', 'enbi.v1alpha1.Pulls'), 'Watch')
const watchRequest = v.object({ image: v.string() })
const pullProgress = v.object({ phase: v.string(), done: v.number(), expected: v.number(), text: v.string() })

/** As it is on the wire, see `protos/enbi.proto`. */
export type WireProgress = v.InferOutput<typeof pullProgress>

export function decodeWatchRequest(message: Buffer): { image: string } {
  return v.parse(watchRequest, watch.requestDeserialize(message))
}

export function encodePullProgress(progress: Partial<WireProgress>): Buffer {
  return watch.responseSerialize(progress)
}

/** For clients. */
export const WATCH_PULLS: Method<{ readonly image: string }, WireProgress> = {
  path: WATCH_PULLS_PATH,
  encode: watch.requestSerialize,
  decode: message => v.parse(pullProgress, watch.responseDeserialize(message)),
}
