import type { Logger } from 'pino'
import { STATUS } from '../../lib/grpc/status.ts'
import type { Builder } from '../nix/contract.ts'
import type { UnaryInterceptor } from '../proxy/contract.ts'
import type { ImageRecords } from './contract.ts'
import { RECIPE_LABEL } from './labels.ts'

export interface SweepOptions {
  readonly images: Pick<ImageRecords, 'withLabel'>
  readonly builder: Pick<Builder, 'keepOnly'>
  /** Recipes that are being built or imported: their image is still to come. */
  readonly active: () => ReadonlySet<string>
}

/** Lets go of the gc roots of every recipe that has neither an image nor a run under way. */
export async function sweepRoots({ images, builder, active }: SweepOptions): Promise<void> {
  const before = active()
  const records = await images.withLabel(RECIPE_LABEL)
  const kept = records.map(({ labels }) => labels[RECIPE_LABEL]).filter(key => key !== undefined)
  await builder.keepOnly(new Set([...kept, ...before, ...active()]))
}

/** RemoveImage is containerd's; once it is done the gc roots follow. */
export function createRemoveImage(sweep: () => Promise<void>, logger: Logger): UnaryInterceptor {
  const afterwards = (status: number) => {
    if (status === STATUS.OK) sweep().catch(err => logger.warn({ err }, 'letting go of gc roots failed'))
  }
  return async () => ({ kind: 'forward', afterwards })
}
