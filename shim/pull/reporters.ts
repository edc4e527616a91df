import type { Logger } from 'pino'
import { lazy } from '../../lib/async/lazy.ts'
import { recipeFields } from '../../recipes/recipe.ts'
import type { ClusterSide, PullReporter, RequestReport } from './contract.ts'
import type { ProgressHub } from './progress.ts'

export interface ReporterParts {
  /** What `enbi-shim status` and the gauges of `/metrics` show. */
  readonly pullLog: PullReporter
  /** The counters of `/metrics`; missing without metrics. */
  readonly metrics: PullReporter | undefined
  /** The NixNode and the Events of pods. Missing without an API server; undefined if the shim cannot use it. */
  readonly cluster: (() => Promise<ClusterSide | undefined>) | undefined
  /** The watchers of an image, such as `enbi-shim pull`. */
  readonly hub: ProgressHub
  readonly logger: Logger
}

/**
 * Everything that hears of pulls, as one reporter, made with the first pull. `pull-image.ts` gives it each image request and
 * each run; nix and the import give it their progress through `onProgress` of the run.
 */
export function createReporter({ pullLog, metrics, cluster, hub, logger }: ReporterParts): () => Promise<PullReporter> {
  return lazy(async () => {
    const side = await cluster?.()
    const reporters = [logRuns(logger), pullLog, metrics, side?.reporter, publishProgress(hub)]
    return reportToAll(reporters.filter(reporter => reporter !== undefined))
  })
}

/** Writes the start and the end of every run to the log of the shim. */
function logRuns(logger: Logger): PullReporter {
  return {
    ...SILENT,
    started(recipe) {
      const log = logger.child({ image: recipe.image, ...recipeFields(recipe) })
      const startedAt = performance.now()
      const ms = () => Math.round(performance.now() - startedAt)
      log.info('pull of a recipe started')
      return {
        progress() {},
        done: ({ imageId }) => log.info({ imageId, ms: ms() }, 'pull of a recipe done'),
        failed: err => log.warn({ err, ms: ms() }, 'pull of a recipe failed'),
      }
    },
  }
}

/** Publishes the progress of every run to the watchers of its image. */
function publishProgress(hub: ProgressHub): PullReporter {
  return {
    ...SILENT,
    started: ({ image }) => ({
      progress: progress => hub.publish(image, progress),
      done: () => hub.end(image),
      failed: () => hub.end(image),
    }),
  }
}

const IGNORED: RequestReport = { done() {}, failed() {} }
const SILENT: PullReporter = {
  refused() {},
  waiting: () => IGNORED,
  started: () => ({ progress() {}, done() {}, failed() {} }),
  imagesChanged() {},
}

/** One reporter that calls several, in their order. */
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
        promised(promise) {
          for (const report of reports) report.promised?.(promise)
        },
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
