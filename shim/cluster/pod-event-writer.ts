import { isUnanswered, type ShimError } from '../../lib/errors.ts'
import { describeDuration, describeMegabytes } from '../../lib/text/units.ts'
import { formatRecipe, isFlakeRecipe, type Recipe } from '../../recipes/recipe.ts'
import type { ImageRequest } from '../pull/contract.ts'
import { isCancelled, type ReportedRun, type ReportedRunState } from './builds/reported-run.ts'
import { FIRST_AFTER_MS } from './builds/write-schedule.ts'

export type PodEventReason =
  | 'NixBuildStarted'
  | 'NixBuildProgress'
  | 'NixBuildSucceeded'
  | 'NixBuildFailed'
  | 'NixBuildRefused'

export interface PodEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: PodEventReason
  readonly message: string
}

/** Reports to one pod, as Events, how its run is going. */
export interface PodEventWriter {
  follow(run: ReportedRun): void
  done(): void
  failed(error: ShimError): void
  /** The request was refused before any run. */
  refused(error: ShimError): void
}

export interface PodEventWriterOptions {
  readonly request: ImageRequest
  readonly node: string
  readonly now: () => number
  readonly record: (event: PodEvent) => void
}

/** The first report of progress; each further pause is twice as long, up to the longest. */
const MILESTONE_AFTER_MS = { first: 30_000, longest: 300_000 }

export function createPodEventWriter({ request, node, now, record }: PodEventWriterOptions): PodEventWriter {
  const { recipe } = request
  let followed: ReportedRun | undefined
  let isStarted = false
  let timer: NodeJS.Timeout | undefined

  function start(run: ReportedRun): void {
    if (run.state().outcome) return
    isStarted = true
    record({
      type: 'Normal',
      reason: 'NixBuildStarted',
      message: `${describeStart(recipe)} on ${node}`,
    })
    timer = setTimeout(milestone, MILESTONE_AFTER_MS.first, run, MILESTONE_AFTER_MS.first)
  }

  function milestone(run: ReportedRun, pauseMs: number): void {
    const { outcome, startedAt, progress } = run.state()
    if (outcome) return
    const since = describeDuration(Math.round((now() - startedAt) / 1000) * 1000)
    record({ type: 'Normal', reason: 'NixBuildProgress', message: `After ${since}: ${progress}` })
    const next = Math.min(pauseMs * 2, MILESTONE_AFTER_MS.longest)
    timer = setTimeout(milestone, next, run, next)
  }

  const end = () => clearTimeout(timer)
  return {
    follow(run) {
      end()
      followed = run
      timer = setTimeout(start, FIRST_AFTER_MS, run)
    },
    async done() {
      end()
      const message = followed && describeSuccess(recipe, await followed.ended, isStarted)
      if (message) record({ type: 'Normal', reason: 'NixBuildSucceeded', message })
    },
    failed(error) {
      end()
      if (!isCancelled(error) && !isUnanswered(error))
        record({ type: 'Warning', reason: 'NixBuildFailed', message: error.message })
    },
    refused(error) {
      const reason = error.code === 'PolicyRefused' ? 'NixBuildRefused' : 'NixBuildFailed'
      record({ type: 'Warning', reason, message: error.message })
    },
  }
}

function describeStart(recipe: Recipe): string {
  return isFlakeRecipe(recipe)
    ? `Building ${recipe.image} from ${formatRecipe(recipe)}`
    : `Fetching ${recipe.storePath}`
}

/** Undefined if the image existed and no start was reported. */
function describeSuccess(recipe: Recipe, run: ReportedRunState, isStarted: boolean): string | undefined {
  const { outcome, startedAt, runId } = run
  const { image } = recipe
  if (outcome?.kind !== 'Succeeded') return undefined
  if (outcome.present) return isStarted ? `${image} existed already: the build result is the same` : undefined
  const size = outcome.imageSize === undefined ? '' : `, ${describeMegabytes(outcome.imageSize)}`
  const made = isFlakeRecipe(recipe) ? 'Built' : 'Fetched'
  return `${runId === undefined ? 'Loaded' : `${made} and loaded`} ${image} in ${describeDuration(outcome.at - startedAt)}${size}`
}
