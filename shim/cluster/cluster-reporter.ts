import type { Logger } from 'pino'
import { isUnanswered, type RetryableError, type ShimError } from '../../lib/errors.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'
import type { FlakeImageRequest, PullReporter, RequestReport, RunReport } from '../pull/contract.ts'
import type { PodIdentity } from '../wire/cri.ts'
import type { ListedNixBuild } from './image-entries.ts'
import { createReportedRun, type ReportedRun, refusal } from './nixbuild/reported-run.ts'
import type { NixBuildStore } from './nixbuild-store.ts'
import { createPodEventWriter, type PodEvent } from './pod-event-writer.ts'
import type { ReportedNixBuild } from './reported-nixbuild.ts'
import { createStatusWriters, type WaitedFor } from './status-writers.ts'

export interface ClusterReporterOptions {
  readonly store: NixBuildStore
  readonly node: string
  readonly now?: () => number
  readonly imageSize: (image: string) => Promise<number | undefined>
  readonly recordEvent: (pod: PodIdentity, event: PodEvent) => void
  readonly imagesChanged: () => void
  /** A NixBuild now lists this node as one that has its image. */
  readonly onImage: (nixBuild: ListedNixBuild) => void
  readonly logger: Logger
}

/** Reports runs to the cluster: to NixBuilds, and to pods as Events. */
export interface ClusterReporter extends PullReporter<FlakeImageRequest> {
  /** Whether there is a run for that NixBuild, or a write that is still pending. */
  isBusyWith(namespace: string, recipe: FlakeRecipe): boolean
  /** Keys of the recipes that are being built or imported. */
  activeKeys(): ReadonlySet<string>
  /** Runs that requests wait for, by namespace. */
  waitedFor(): WaitedFor[]
  /** Resolves when no write to that NixBuild is pending. */
  written(namespace: string, recipe: FlakeRecipe): Promise<void>
  /** Writes what is still pending, for at most that time. */
  close(limitMs: number): Promise<void>
}

export function createClusterReporter(options: ClusterReporterOptions): ClusterReporter {
  const { node, imageSize, recordEvent } = options
  const now = options.now ?? Date.now
  const runs = new Map<string, ReportedRun>()
  const writers = createStatusWriters({ ...options, now })

  function podEventWriter(request: FlakeImageRequest) {
    const { pod } = request
    return createPodEventWriter({ request, node, now, record: event => pod && recordEvent(pod, event) })
  }

  function conclude({ writer, run }: ReportedNixBuild, error: ShimError): void {
    if (!run) writer.conclude(refusal(error, now()))
  }

  return {
    imagesChanged: options.imagesChanged,
    refused(request, error) {
      podEventWriter(request).refused(error)
      const nixBuild = writers.of(request)
      if (nixBuild) conclude(nixBuild, error)
    },
    waiting(request): RequestReport {
      const nixBuild = writers.of(request)
      const writer = podEventWriter(request)
      const controller = new AbortController()
      const caller = {
        isOfCluster: (request.pod ?? request.nixBuild) !== undefined,
        attempt: request.attempt,
        follow: writer.follow,
        cancel: (reason: RetryableError) => controller.abort(reason),
      }
      const run = runs.get(recipeKey(request.recipe))
      nixBuild?.join(caller, run)
      return {
        signal: controller.signal,
        done() {
          writer.done()
          nixBuild?.leave(caller)
        },
        failed(error) {
          writer.failed(error)
          if (nixBuild && !isUnanswered(error)) conclude(nixBuild, error)
          nixBuild?.leave(caller)
        },
      }
    },
    started(recipe): RunReport {
      const key = recipeKey(recipe)
      const run = createReportedRun(recipe, { now, imageSize })
      runs.set(key, run)
      run.ended.then(({ outcome }) => {
        if (runs.get(key) === run) runs.delete(key)
        if (outcome?.kind === 'Succeeded' && !outcome.present) options.imagesChanged()
      })
      writers.follow(key, run)
      return run
    },
    isBusyWith: (namespace, recipe) => writers.has(namespace, recipe),
    activeKeys: () => new Set(runs.keys()),
    waitedFor: () => writers.waitedFor(),
    written: (namespace, recipe) => writers.written(namespace, recipe),
    close: limitMs => writers.close(limitMs),
  }
}
