import type { Logger } from 'pino'
import { STATUS } from '../../lib/grpc/status.ts'
import type { Builder } from '../nix/contract.ts'
import type { UnaryInterceptor } from '../proxy/contract.ts'
import type { ImageRecords } from './contract.ts'
import { RECIPE_LABEL } from './image-of-recipe.ts'

/** Forwards RemoveImage to containerd; once that has succeeded, `onRemoved` lets go of the gc roots. */
export function interceptRemoveImage(onRemoved: () => Promise<void>, logger: Logger): UnaryInterceptor {
  const afterwards = (status: number) => {
    if (status === STATUS.OK) onRemoved().catch(err => logger.warn({ err }, 'letting go of gc roots failed'))
  }
  return async () => ({ kind: 'forward', afterwards })
}

export interface KeepRootsParts {
  readonly images: Pick<ImageRecords, 'withLabel'>
  readonly builder: Pick<Builder, 'keepOnly'>
  /** Keys of the runs under way: their images are still to come. */
  readonly active: () => ReadonlySet<string>
}

/** Lets go of the gc roots of every recipe that has neither an image nor a run. */
export async function keepRootsInUse({ images, builder, active }: KeepRootsParts): Promise<void> {
  const before = active()
  const records = await images.withLabel(RECIPE_LABEL)
  const kept = records.map(({ labels }) => labels[RECIPE_LABEL]).filter(key => key !== undefined)
  await builder.keepOnly(new Set([...kept, ...before, ...active()]))
}
