import type { StreamHandler, UnaryInterceptor } from '../proxy/contract.ts'
import type { ImageServiceOptions } from './image-service.ts'
import { createImageStatus } from './image-status.ts'
import type { ProgressHub } from './progress.ts'
import { createPullImage } from './pull-image.ts'
import type { SharedRuns } from './shared-runs.ts'
import { createWatchPulls } from './watch-pulls.ts'

/** What answers calls that carry a recipe. */
export interface RecipeCalls {
  readonly pullImage: UnaryInterceptor
  readonly imageStatus: UnaryInterceptor
  readonly watchPulls: StreamHandler
}

export interface RecipeCallsOptions extends ImageServiceOptions {
  readonly runs: SharedRuns<string>
  readonly progress: ProgressHub
}

export function createRecipeCalls(options: RecipeCallsOptions): RecipeCalls {
  return {
    pullImage: createPullImage(options),
    imageStatus: createImageStatus(options),
    watchPulls: createWatchPulls(options.progress),
  }
}
