import type { WireProgress } from '../wire/pull-messages.ts'
import type { PullProgress } from './progress.ts'

/** As it is sent, see `protos/enbi.proto`. */
export function toWire(progress: PullProgress): Partial<WireProgress> {
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
