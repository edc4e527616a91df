import { RetryableError } from '../../lib/errors.ts'
import { describePull, type PullProgress } from './progress.ts'

/** Limits how long a pull waits. */
export interface PullHold extends Disposable {
  /** Aborted with StillBuilding after the time. */
  readonly signal: AbortSignal
}

/** `progress`: the latest of the run that the pull waits for. Without a time the pull waits for as long as it takes. */
export function holdPull(holdMs: number | undefined, progress: () => PullProgress | undefined): PullHold {
  const controller = new AbortController()
  const release = () => controller.abort(stillBuilding(progress()))
  const timer = holdMs === undefined ? undefined : setTimeout(release, holdMs)
  return { signal: controller.signal, [Symbol.dispose]: () => clearTimeout(timer) }
}

function stillBuilding(progress: PullProgress | undefined): RetryableError {
  const message = `${describeStillBuilding(progress)}: the build continues, and the next pull joins it`
  return new RetryableError('StillBuilding', message)
}

/** `still building (12 of 40)` */
export function describeStillBuilding(progress: PullProgress | undefined): string {
  return `still building (${describe(progress)})`
}

function describe(progress: PullProgress | undefined): string {
  if (progress === undefined) return 'starting'
  if (progress.phase === 'building' && progress.expected > 0) return `${progress.done} of ${progress.expected}`
  return describePull(progress)
}
