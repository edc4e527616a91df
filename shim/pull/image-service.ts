import type { Logger } from 'pino'
import { lazy } from '../../lib/async/lazy.ts'
import { mentionsRecipe } from '../../recipes/annotations.ts'
import type { Names } from '../../recipes/names/names.ts'
import type { Policy } from '../../recipes/policy/policy.ts'
import { mentionsStorePath } from '../../recipes/store-path-reference.ts'
import type { StreamHandler, UnaryInterceptor } from '../proxy/contract.ts'
import { IMAGE_SERVICE } from '../wire/cri.ts'
import { PULLS } from '../wire/pulls.ts'
import type {
  ClusterSide,
  ImageRecords,
  ImageRequest,
  PullImage,
  PullOutcome,
  PullReporter,
  Stages,
} from './contract.ts'
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

/** Most calls have no recipe: what serves one is loaded when the first one comes. */
export function createImageService({ stages: makeStages, reporters, ...parts }: ImageServiceParts): ImageService {
  const { policy, names, system, images, runs, cluster, logger } = parts
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
    const { createProgressHub, createWatchPulls } = await import('./progress-hub.ts')
    const { interceptPullImage, pullImage } = await import('./pull-image.ts')
    const { interceptImageStatus } = await import('./image-status.ts')
    const hub = createProgressHub()
    const pull = {
      ...{ policy, names, system, images, stages, runs },
      reporter: reportToAll([await reporter(), publishProgress(hub)]),
      findClusterRecipe: (await joined())?.findRecipe,
    }
    return {
      pullImage: interceptPullImage(pull),
      imageStatus: interceptImageStatus({ names, system, images, mayHaveRecipe, logger }),
      watchPulls: createWatchPulls(hub),
      pull: (request: ImageRequest, signal: AbortSignal) => pullImage(pull, request, signal),
    }
  })
  const withRecipe =
    (name: 'pullImage' | 'imageStatus'): UnaryInterceptor =>
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
      [IMAGE_SERVICE.PullImage.path, withRecipe('pullImage')],
      [IMAGE_SERVICE.ImageStatus.path, withRecipe('imageStatus')],
      [IMAGE_SERVICE.RemoveImage.path, interceptRemoveImage(imagesRemoved, logger)],
    ]),
    streams: new Map([[PULLS.Watch.path, watchPulls]]),
    pullImage: async (request, signal) => (await recipeCalls()).pull(request, signal),
  }
}
