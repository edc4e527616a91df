import type { StreamHandler, UnaryInterceptor } from '../proxy/contract.ts'
import type { ClusterSide, PullImage, PullOutcome } from './contract.ts'
import type { ImageServiceOptions } from './image-service.ts'
import { createImageStatus } from './image-status.ts'
import { createMakeImage } from './make-image.ts'
import type { ProgressHub } from './progress.ts'
import { createPullImage } from './pull-image.ts'
import type { SharedRuns } from './shared-runs.ts'
import { createWatchPulls } from './watch-pulls.ts'

/** What answers calls that carry a recipe. */
export interface RecipeCalls {
  readonly pullImage: UnaryInterceptor
  readonly imageStatus: UnaryInterceptor
  readonly watchPulls: StreamHandler
  readonly pull: PullImage
}

export interface RecipeCallsOptions extends Omit<ImageServiceOptions, 'cluster'> {
  /** Whether anything but a name may be the recipe of an image in the message. */
  readonly mayHaveRecipe: (request: Buffer) => boolean
  readonly runs: SharedRuns<PullOutcome>
  readonly progress: ProgressHub
  readonly cluster: ClusterSide | undefined
}

export function createRecipeCalls(options: RecipeCallsOptions): RecipeCalls {
  const { cluster, system, names } = options
  const pull = createMakeImage({ ...options, reporter: cluster?.reporter })
  return {
    pull,
    pullImage: createPullImage({ pull, names, findClusterRecipe: cluster?.findRecipe, system }),
    imageStatus: createImageStatus(options),
    watchPulls: createWatchPulls(options.progress),
  }
}
