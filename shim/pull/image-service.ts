import type { Logger } from 'pino'
import { createBackground } from '../../lib/async/background.ts'
import { lazy } from '../../lib/async/lazy.ts'
import type { Names } from '../../recipes/names/names.ts'
import type { Policy } from '../../recipes/policy/policy.ts'
import type { Recipe } from '../../recipes/recipe.ts'
import type { StreamHandler, UnaryInterceptor } from '../proxy/contract.ts'
import { IMAGE_STATUS_PATH, PULL_IMAGE_PATH, REMOVE_IMAGE_PATH, WATCH_PULLS_PATH } from '../wire/paths.ts'
import type { ClusterSide, ImageRecords, PullImage, PullOutcome, PullReporter, Stages } from './contract.ts'
import { createWatchPulls, type ProgressHub, type PullProgress } from './progress.ts'
import { createRecipeFilter } from './recipe-filter.ts'
import { interceptRemoveImage, removeUnusedRoots } from './remove-image.ts'
import type { SharedRuns } from './runs/shared-runs.ts'

export interface ImageServiceParts {
  readonly policy: Policy
  readonly names: Names
  /** Nix system of this node. */
  readonly system: string
  readonly images: () => Promise<ImageRecords>
  /** Throws a ShimError while builds are impossible; every pull asks again until it succeeds. */
  readonly stages: () => Promise<Stages>
  readonly runs: SharedRuns<PullOutcome>
  /** Longest time that a pull of a pod waits. Undefined means no limit. */
  readonly holdMs: number | undefined
  readonly progressOf: (recipe: Recipe) => PullProgress | undefined
  /** Whether garbage should be collected now. */
  readonly isDiskLow: () => Promise<boolean>
  /** Never throws. */
  readonly reporter: () => Promise<PullReporter>
  readonly hub: ProgressHub
  /** Missing without an API server; undefined if the shim cannot use it. */
  readonly cluster?: (() => Promise<ClusterSide | undefined>) | undefined
  readonly logger: Logger
}

/** The calls that the shim does more with than forward them. */
export interface ImageService {
  readonly intercept: ReadonlyMap<string, UnaryInterceptor>
  readonly streams: ReadonlyMap<string, StreamHandler>
  /** Serves an image request that does not come from a call. */
  readonly pullImage: PullImage
  /** Waits for what follows removals of images. */
  close(limitMs: number): Promise<void>
}

/** Calls that may have a recipe go to `pull-image.ts` and `image-status.ts`, which are loaded with the first of them. */
export function createImageService(parts: ImageServiceParts): ImageService {
  const { policy, names, system, images, runs, holdMs, progressOf, reporter, hub, cluster, logger } = parts
  const filter = createRecipeFilter(names, cluster !== undefined)
  const background = createBackground(err => logger.warn({ err }, 'the work after the removal of an image failed'))

  const stages = lazy(async () => {
    const made = await parts.stages()
    // Images may have been removed while no shim was running.
    background.run(cleanUpRoots)
    return made
  })
  const pulls = lazy(async () => {
    const { interceptPullImage, pullImage } = await import('./pull-image.ts')
    const side = await cluster?.()
    const ofCluster = { findClusterRecipe: side?.findRecipe, findLock: side?.findLock, warnPod: side?.warnPod }
    const limits = { runs, holdMs, progressOf }
    const told = { reporter: await reporter(), logger }
    const pull = { policy, names, system, images, stages, ...ofCluster, ...limits, ...told }
    const pullRequested: PullImage = (request, signal) => pullImage(pull, request, { signal })
    return { intercept: interceptPullImage(pull), pullImage: pullRequested }
  })
  const imageStatus = lazy(async () => {
    const { interceptImageStatus } = await import('./image-status.ts')
    const isOutdated = (await cluster?.())?.isOutdated
    return interceptImageStatus({ names, system, images, filter, isOutdated, logger })
  })
  const ifRecipe =
    (load: () => Promise<UnaryInterceptor>): UnaryInterceptor =>
    async call =>
      filter.mayHaveRecipe(call.request) ? (await load())(call) : { kind: 'forward' }

  async function cleanUpRoots(): Promise<void> {
    try {
      const { builder } = await stages()
      await removeUnusedRoots({ images: await images(), builder, active: runs.active })
    } catch (err) {
      logger.warn({ err }, 'unused gc roots cannot be removed')
    }
  }
  async function collectGarbage(): Promise<void> {
    const made = await stages().catch(() => undefined)
    await made?.builder.collectGarbage({ isNew: true })
  }
  async function onImageRemoved(): Promise<void> {
    const { imagesChanged } = await reporter()
    imagesChanged()
    await cleanUpRoots()
    await collectGarbage()
  }

  return {
    intercept: new Map([
      [PULL_IMAGE_PATH, ifRecipe(async () => (await pulls()).intercept)],
      [IMAGE_STATUS_PATH, ifRecipe(imageStatus)],
      [REMOVE_IMAGE_PATH, interceptRemoveImage(() => background.run(onImageRemoved), parts.isDiskLow)],
    ]),
    streams: new Map([[WATCH_PULLS_PATH, createWatchPulls(hub)]]),
    pullImage: async (request, signal) => (await pulls()).pullImage(request, signal),
    close: background.close,
  }
}
