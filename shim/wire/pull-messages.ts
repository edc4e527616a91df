import * as v from 'valibot'
import { loadService, methodOf } from '../../lib/grpc/load-protos.ts'

const watch = methodOf(loadService('enbi.proto', 'enbi.v1alpha1.Pulls'), 'Watch')
const watchRequest = v.object({ image: v.string() })
const pullProgress = v.object({ phase: v.string(), done: v.number(), expected: v.number(), text: v.string() })

/** As it is on the wire, see `protos/enbi.proto`. */
export type WireProgress = v.InferOutput<typeof pullProgress>

export function encodeWatchRequest(image: string): Buffer {
  return watch.requestSerialize({ image })
}

export function decodeWatchRequest(message: Buffer): { image: string } {
  return v.parse(watchRequest, watch.requestDeserialize(message))
}

export function encodePullProgress(progress: Partial<WireProgress>): Buffer {
  return watch.responseSerialize(progress)
}

export function decodePullProgress(message: Buffer): WireProgress {
  return v.parse(pullProgress, watch.responseDeserialize(message))
}
