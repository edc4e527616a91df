import type { Logger } from 'pino'
import { lazy } from '../../lib/async/lazy.ts'
import { mentionsRecipe } from '../../recipes/annotations.ts'
import type { Names } from '../../recipes/names/names.ts'
import type { Policy } from '../../recipes/policy/policy.ts'
import { mentionsStorePath } from '../../recipes/store-path-reference.ts'
import type { StreamHandler, UnaryInterceptor } from '../proxy/contract.ts'
import type { ClusterSide, ImageRecords, PullImage, PullOutcome } from './contract.ts'
import { IMAGE_STATUS_PATH, PULL_IMAGE_PATH, REMOVE_IMAGE_PATH, WATCH_PATH } from './paths.ts'
import { createProgressHub } from './progress.ts'
import type { PullLog } from './pull-log.ts'
import type { Stages } from './pull-recipe.ts'
import type { RecipeCalls } from './recipe-calls.ts'
import { createSharedRuns, type SharedRunsOptions } from './shared-runs.ts'
import { createRemoveImage, sweepRoots } from './sweep.ts'

export interface ImageServiceOptions extends SharedRunsOptions {
  readonly policy: Policy
  readonly names: Names
  readonly images: () => Promise<ImageRecords>
  /** Throws a ShimError while builds are impossible; asked again by every pull until it does not. */
  readonly stages: () => Promise<Stages>
  /** Nix system of this node. */
  readonly system: string
  readonly pullLog: PullLog
  /** Missing when the shim knows of no API server. */
  readonly cluster?: (() => Promise<ClusterSide>) | undefined
  readonly logger: Logger
}

/** What the shim does with calls that it does not just pass on. */
export interface ImageService {
  readonly intercept: ReadonlyMap<string, UnaryInterceptor>
  readonly streams: ReadonlyMap<string, StreamHandler>
  /** As a pull of a recipe, without a call. */
  readonly pullImage: PullImage
  /** Ends every build and import. */
  close(): Promise<void>
}

/** Most calls carry no recipe: what it takes to answer one that does is loaded when the first one comes. */
export function createImageService(options: ImageServiceOptions): ImageService {
  const { logger, cluster, names } = options
  const runs = createSharedRuns<PullOutcome>(options)
  const sweep = async () => sweepRoots({ ...(await stages()), active: runs.active })
  const stages = lazy(async () => {
    const made = await options.stages()
    // Images may have been removed while no shim was running.
    sweep().catch(err => logger.warn({ err }, 'letting go of gc roots failed'))
    return made
  })
  /** A shim goes on without its cluster. */
  const joined = async () => cluster?.().catch(err => void logger.error({ err }, 'the cluster cannot be joined'))
  const progress = createProgressHub()
  // The cluster may have a recipe for an image of a pod without annotations.
  const mayHaveRecipe = (request: Buffer) =>
    cluster !== undefined || mentionsRecipe(request) || mentionsStorePath(request)
  const recipeCalls = lazy(async () => {
    const { createRecipeCalls } = await import('./recipe-calls.ts')
    return createRecipeCalls({ ...options, mayHaveRecipe, stages, runs, progress, cluster: await joined() })
  })
  const withRecipe =
    (name: 'pullImage' | 'imageStatus'): UnaryInterceptor =>
    async call =>
      mayHaveRecipe(call.request) || names.mentioned(call.request)
        ? (await recipeCalls())[name](call)
        : { kind: 'forward' }
  const imagesRemoved = async () => {
    options.pullLog.imagesChanged()
    const side = await joined()
    side?.reporter.imagesChanged()
    await sweep()
  }
  return {
    intercept: new Map([
      [PULL_IMAGE_PATH, withRecipe('pullImage')],
      [IMAGE_STATUS_PATH, withRecipe('imageStatus')],
      [REMOVE_IMAGE_PATH, createRemoveImage(imagesRemoved, logger)],
    ]),
    streams: new Map([[WATCH_PATH, lazyWatch(recipeCalls)]]),
    pullImage: async (request, signal) => (await recipeCalls()).pull(request, signal),
    close: () => runs.close(),
  }
}

function lazyWatch(recipeCalls: () => Promise<RecipeCalls>): StreamHandler {
  return async function* watch(call) {
    yield* (await recipeCalls()).watchPulls(call)
  }
}
