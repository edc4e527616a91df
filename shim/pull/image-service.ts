import type { Logger } from 'pino'
import { lazy } from '../../lib/async/lazy.ts'
import { mentionsRecipe } from '../../recipes/annotations.ts'
import type { Names } from '../../recipes/names/names.ts'
import type { Policy } from '../../recipes/policy/policy.ts'
import { mentionsStorePath } from '../../recipes/store-path-reference.ts'
import type { StreamHandler, UnaryInterceptor } from '../proxy/contract.ts'
import { IMAGE_STATUS_PATH, PULL_IMAGE_PATH, REMOVE_IMAGE_PATH, WATCH_PULLS_PATH } from '../wire/paths.ts'
import type { ClusterSide, ImageRecords, PullImage, PullOutcome, PullReporter, Stages } from './contract.ts'
import type { ImageStatusParts } from './image-status.ts'
import type { PullImageParts } from './pull-image.ts'
import { interceptRemoveImage, keepRootsInUse } from './remove-image.ts'
import { publishProgress, reportFlakes, reportToAll } from './reporters.ts'
import type { SharedRuns } from './shared-runs.ts'

export interface ImageServiceParts {
  readonly policy: Policy
  readonly names: Names
  /** Nix system of this node. */
  readonly system: string
  readonly images: () => Promise<ImageRecords>
  /** Throws a ShimError while builds are impossible; every pull asks again until it does not. */
  readonly stages: () => Promise<Stages>
  readonly runs: SharedRuns<PullOutcome>
  readonly reporters: readonly PullReporter[]
  /** Missing without an API server. */
  readonly cluster?: (() => Promise<ClusterSide>) | undefined
  readonly logger: Logger
}

/** The calls that the shim does not just pass on. */
export interface ImageService {
  readonly intercept: ReadonlyMap<string, UnaryInterceptor>
  readonly streams: ReadonlyMap<string, StreamHandler>
  /** Serves an image request that comes with no call. */
  readonly pullImage: PullImage
}

/** Most calls have no recipe: the code that serves one is loaded when the first one comes. */
export function createImageService({ stages: makeStages, reporters, ...parts }: ImageServiceParts): ImageService {
  const { names, images, runs, cluster, logger } = parts
  const stages = lazy(async () => {
    const made = await makeStages()
    // Images may have been removed while no shim was running.
    letGoOfRoots().catch(err => logger.warn({ err }, 'letting go of gc roots failed'))
    return made
  })
  const letGoOfRoots = async () => {
    const { builder } = await stages()
    await keepRootsInUse({ images: await images(), builder, active: runs.active })
  }
  /** The shim goes on without its cluster. */
  const joined = async () => cluster?.().catch(err => void logger.error({ err }, 'the cluster cannot be joined'))
  const reporter = lazy(async () => {
    const side = await joined()
    return reportToAll([...reporters, ...(side ? [reportFlakes(side.reporter)] : [])])
  })
  // The cluster may have a recipe for an image of a pod without annotations.
  const mayHaveRecipe = (request: Buffer) =>
    cluster !== undefined || mentionsRecipe(request) || mentionsStorePath(request)
  const recipeCalls = lazy(async () => {
    const findClusterRecipe = (await joined())?.findRecipe
    return loadRecipeCalls({ ...parts, stages, reporter: await reporter(), findClusterRecipe, mayHaveRecipe })
  })
  const withRecipe =
    (name: 'interceptPullImage' | 'interceptImageStatus'): UnaryInterceptor =>
    async call =>
      mayHaveRecipe(call.request) || names.mentioned(call.request)
        ? (await recipeCalls())[name](call)
        : { kind: 'forward' }
  const watchPulls: StreamHandler = async function* (call) {
    yield* (await recipeCalls()).watchPulls(call)
  }
  const imagesRemoved = async () => {
    const { imagesChanged } = await reporter()
    imagesChanged()
    await letGoOfRoots()
  }
  return {
    intercept: new Map([
      [PULL_IMAGE_PATH, withRecipe('interceptPullImage')],
      [IMAGE_STATUS_PATH, withRecipe('interceptImageStatus')],
      [REMOVE_IMAGE_PATH, interceptRemoveImage(imagesRemoved, logger)],
    ]),
    streams: new Map([[WATCH_PULLS_PATH, watchPulls]]),
    pullImage: async (request, signal) => (await recipeCalls()).pullImage(request, signal),
  }
}

interface RecipeCalls {
  readonly interceptPullImage: UnaryInterceptor
  readonly interceptImageStatus: UnaryInterceptor
  readonly watchPulls: StreamHandler
  readonly pullImage: PullImage
}

async function loadRecipeCalls(parts: PullImageParts & ImageStatusParts): Promise<RecipeCalls> {
  const { createProgressHub, createWatchPulls } = await import('./progress-hub.ts')
  const { interceptPullImage, pullImage } = await import('./pull-image.ts')
  const { interceptImageStatus } = await import('./image-status.ts')
  const hub = createProgressHub()
  const pull = { ...parts, reporter: reportToAll([parts.reporter, publishProgress(hub)]) }
  return {
    interceptPullImage: interceptPullImage(pull),
    interceptImageStatus: interceptImageStatus(parts),
    watchPulls: createWatchPulls(hub),
    pullImage: (request, signal) => pullImage(pull, request, signal),
  }
}
