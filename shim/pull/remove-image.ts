import { within } from '../../lib/async/bounded-wait.ts'
import { STATUS } from '../../lib/grpc/status.ts'
import type { Builder } from '../nix/contract.ts'
import type { UnaryInterceptor } from '../proxy/contract.ts'
import type { ImageRecords } from './contract.ts'
import { RECIPE_LABEL } from './image-of-recipe.ts'

/**
 * Forwards RemoveImage to containerd, and calls `onRemoved` when it has succeeded. The caller gets its answer when that is done if the
 * disk is low: the kubelet evicts pods if there is no more space after it has removed all images.
 */
export function interceptRemoveImage(
  onRemoved: () => Promise<void>,
  isDiskLow: () => Promise<boolean>,
): UnaryInterceptor {
  const budget = createHoldBudget()
  const afterwards = async (status: number) => {
    if (status !== STATUS.OK) return
    const done = onRemoved()
    if (await isDiskLow()) await budget.hold(done)
  }
  return async () => ({ kind: 'forward', afterwards })
}

const HOLD_MS = 60_000
/** Of the time since the last hold. */
const REFILL = 0.5

/** The kubelet removes images one by one, and looks after no pod meanwhile: all holds together are limited. */
function createHoldBudget() {
  let leftMs = HOLD_MS
  let countedAt = performance.now()
  let holds = 0
  const count = () => {
    const now = performance.now()
    const ms = now - countedAt
    leftMs = Math.max(0, Math.min(HOLD_MS, leftMs + (holds > 0 ? -ms : REFILL * ms)))
    countedAt = now
  }
  return {
    async hold(promise: Promise<void>): Promise<void> {
      count()
      holds += 1
      await within(leftMs, promise)
      count()
      holds -= 1
    },
  }
}

export interface UnusedRootsParts {
  readonly images: Pick<ImageRecords, 'withLabel'>
  readonly builder: Pick<Builder, 'keepOnly'>
  /** Keys of the active runs, which have no image yet. */
  readonly active: () => ReadonlySet<string>
}

/** Removes the gc roots of all recipes that have neither an image nor a run. */
export async function removeUnusedRoots({ images, builder, active }: UnusedRootsParts): Promise<void> {
  const before = active()
  const records = await images.withLabel(RECIPE_LABEL)
  const kept = records.map(({ labels }) => labels[RECIPE_LABEL]).filter(key => key !== undefined)
  await builder.keepOnly(new Set([...kept, ...before, ...active()]))
}
