import type { StreamHandler } from '../proxy/contract.ts'
import { normaliseReference } from '../reference.ts'
import { decodeWatchRequest, encodePullProgress } from './enbi-messages.ts'
import type { ProgressHub, PullProgress } from './progress.ts'

/** `enbi.v1alpha1.Pulls/Watch`: the progress of every pull of one image. */
export function createWatchPulls(progress: ProgressHub): StreamHandler {
  return async function* watchPulls({ request, signal }) {
    const events = progress.watch(normaliseReference(decodeWatchRequest(request).image), signal)
    yield encodePullProgress({ phase: 'watching' })
    for await (const event of events) yield encodePullProgress(toWire(event))
  }
}

function toWire(progress: PullProgress) {
  const { phase } = progress
  switch (progress.phase) {
    case 'queued':
      return { phase, done: progress.ahead }
    case 'fetching':
      return { phase, done: progress.doneBytes, expected: progress.expectedBytes }
    case 'building':
      return { phase, done: progress.done, expected: progress.expected, text: progress.current ?? '' }
    case 'log':
      return { phase, text: progress.line }
    case 'built':
      return { phase, text: progress.storePath }
    case 'importing':
      return { phase, done: progress.doneBytes, expected: progress.totalBytes ?? 0 }
    case 'unpacking':
      return { phase, done: progress.done, expected: progress.expected }
    default:
      return { phase }
  }
}
