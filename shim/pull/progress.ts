import type { ImportProgress } from '../import/image/contract.ts'
import type { BuildProgress } from '../nix/log/build-progress.ts'
import type { WireProgress } from '../wire/pulls.ts'

/** How far a run is. */
export type PullProgress =
  | BuildProgress
  | ImportProgress
  | { readonly phase: 'built'; readonly storePath: string }
  /** The image was there already: nothing was built or imported. */
  | { readonly phase: 'present' }

/** Whether an import reads bytes: it takes most of its memory then. */
export function isReading(progress: PullProgress | undefined): boolean {
  return progress?.phase === 'importing'
}

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
