import type { Logger } from 'pino'
import type { Policy } from '../policy/policy.ts'
import type { StreamHandler, UnaryInterceptor } from '../proxy/contract.ts'
import type { ImageRecords } from './contract.ts'
import { IMAGE_STATUS_PATH, PULL_IMAGE_PATH, REMOVE_IMAGE_PATH } from './cri-messages.ts'
import { WATCH_PATH } from './enbi-messages.ts'
import { createImageStatus } from './image-status.ts'
import { createProgressHub } from './progress.ts'
import { createPullImage } from './pull-image.ts'
import type { Stages } from './pull-recipe.ts'
import { createSharedRuns, type SharedRunsOptions } from './shared-runs.ts'
import { createRemoveImage, sweepRoots } from './sweep.ts'
import { createWatchPulls } from './watch-pulls.ts'

export interface ImageServiceOptions extends SharedRunsOptions {
  readonly policy: Policy
  readonly images: ImageRecords
  /** Throws a ShimError while builds are impossible; asked again by every pull until it does not. */
  readonly stages: () => Promise<Stages>
  /** Nix system of this node. */
  readonly system: string
  readonly logger: Logger
}

/** What the shim does with calls that it does not just pass on. */
export interface ImageService {
  readonly intercept: ReadonlyMap<string, UnaryInterceptor>
  readonly streams: ReadonlyMap<string, StreamHandler>
  /** Lets go of the gc roots of images that are gone. */
  sweep(): Promise<void>
  /** Ends every build and import. */
  close(): Promise<void>
}

export function createImageService(options: ImageServiceOptions): ImageService {
  const { images, stages, logger } = options
  const runs = createSharedRuns<string>(options)
  const progress = createProgressHub()
  const sweep = async () => sweepRoots({ images, builder: (await stages()).builder, active: runs.active })
  return {
    intercept: new Map([
      [PULL_IMAGE_PATH, createPullImage({ ...options, runs, progress })],
      [IMAGE_STATUS_PATH, createImageStatus(options)],
      [REMOVE_IMAGE_PATH, createRemoveImage(sweep, logger)],
    ]),
    streams: new Map([[WATCH_PATH, createWatchPulls(progress)]]),
    sweep,
    close: () => runs.close(),
  }
}
