import type { Logger } from 'pino'
import { isFlakeRecipe, recipeFields } from '../../recipes/recipe.ts'
import type { FlakeImageRequest, ImageRequest, PullReporter, RequestReport } from './contract.ts'
import type { ProgressHub } from './progress-hub.ts'

/** One reporter in place of several. They hear of everything in their order. */
export function reportToAll(reporters: readonly PullReporter[]): PullReporter {
  return {
    refused(request, error) {
      for (const reporter of reporters) reporter.refused(request, error)
    },
    waiting(request) {
      const reports = reporters.map(reporter => reporter.waiting(request))
      const signals = reports.flatMap(({ signal }) => signal ?? [])
      return {
        signal: AbortSignal.any(signals),
        done() {
          for (const report of reports) report.done()
        },
        failed(error) {
          for (const report of reports) report.failed(error)
        },
      }
    },
    started(recipe) {
      const reports = reporters.map(reporter => reporter.started(recipe))
      return {
        progress(progress) {
          for (const report of reports) report.progress(progress)
        },
        done(outcome) {
          for (const report of reports) report.done(outcome)
        },
        failed(error) {
          for (const report of reports) report.failed(error)
        },
      }
    },
    imagesChanged() {
      for (const reporter of reporters) reporter.imagesChanged()
    },
  }
}

/** Writes the start and the end of every run to the log of the shim. */
export function logRuns(logger: Logger): PullReporter {
  return {
    ...SILENT,
    started(recipe) {
      const log = logger.child({ image: recipe.image, ...recipeFields(recipe) })
      const startedAt = performance.now()
      const durationMs = () => Math.round(performance.now() - startedAt)
      log.info('pull of a recipe started')
      return {
        progress() {},
        done: ({ imageId }) => log.info({ imageId, durationMs: durationMs() }, 'pull of a recipe done'),
        failed: err => log.warn({ err, durationMs: durationMs() }, 'pull of a recipe failed'),
      }
    },
  }
}

/** Publishes the progress of every run to the watchers of its image. */
export function publishProgress(hub: ProgressHub): PullReporter {
  return {
    ...SILENT,
    started: ({ image }) => ({
      progress: progress => hub.publish(image, progress),
      done: () => hub.end(image),
      failed: () => hub.end(image),
    }),
  }
}

/** Reports recipes of flakes to the cluster: there is no NixBuild of a store path. */
export function reportFlakes(cluster: PullReporter<FlakeImageRequest>): PullReporter {
  return {
    refused(request, error) {
      if (isOfFlake(request)) cluster.refused(request, error)
    },
    waiting: request => (isOfFlake(request) ? cluster.waiting(request) : SILENT.waiting(request)),
    started: recipe => (isFlakeRecipe(recipe) ? cluster.started(recipe) : SILENT.started(recipe)),
    imagesChanged: () => cluster.imagesChanged(),
  }
}

function isOfFlake(request: ImageRequest): request is FlakeImageRequest {
  return isFlakeRecipe(request.recipe)
}

const IGNORED: RequestReport = { done() {}, failed() {} }
const SILENT: PullReporter = {
  refused() {},
  waiting: () => IGNORED,
  started: () => ({ progress() {}, done() {}, failed() {} }),
  imagesChanged() {},
}
