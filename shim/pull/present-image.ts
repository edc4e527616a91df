import { setTimeout as delay } from 'node:timers/promises'
import { untilAborted } from '../../lib/async/bounded-wait.ts'
import { retry } from '../../lib/async/retry.ts'
import { isContainerdAway } from '../../lib/errors.ts'
import type { Recipe } from '../../recipes/recipe.ts'
import type { ImageRecord } from '../containerd/services/images.ts'
import type { ImageRecords } from './contract.ts'
import { isAsWritten, isOfRecipe } from './labels.ts'

/** The image record of that name. Waits while containerd is away. Throws Cancelled once `signal` aborts. */
export function findRecord(images: ImageRecords, image: string, signal: AbortSignal): Promise<ImageRecord | undefined> {
  return whenContainerdAnswers(() => images.find(image), signal)
}

/**
 * Image id of the recipe's image, if CRI knows the image and containers can be made of it. `record` is the record of the
 * recipe's name. Waits and throws as `findRecord`.
 */
export async function presentId(
  images: ImageRecords,
  record: ImageRecord | undefined,
  { recipe, signal }: { readonly recipe: Recipe; readonly signal: AbortSignal },
): Promise<string | undefined> {
  if (!record || !isOfRecipe(record, recipe)) return undefined
  const look = () => Promise.all([images.present(recipe.image), images.usable(record)])
  const [present, isUsable] = await whenContainerdAnswers(look, signal)
  // CRI is asked by name, and the name may belong to another image by now.
  return isUsable && isAsWritten(record, present) ? present?.id : undefined
}

const PAUSE_MS = 100

/** The call is held while containerd is away, as the proxy holds the calls that it passes on. */
function whenContainerdAnswers<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  return retry(() => untilAborted(ask(), signal), {
    isTemporary: isContainerdAway,
    beforeNext: () => untilAborted(delay(PAUSE_MS), signal),
  })
}
