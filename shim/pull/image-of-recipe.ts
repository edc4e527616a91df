import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { orCancelled } from '../../lib/async/bounded-wait.ts'
import { retry } from '../../lib/async/retry.ts'
import { isContainerdAway } from '../../lib/errors.ts'
import { type Recipe, recipeKey } from '../../recipes/recipe.ts'
import { IMAGE_ID_LABEL } from '../containerd/services/constants.ts'
import type { CriImage } from '../containerd/services/cri.ts'
import type { ImageRecord } from '../containerd/services/images.ts'
import type { BuildResult } from '../nix/store/results.ts'
import type { ImageRecords } from './contract.ts'

/** Marks an image record that the shim has written; the value is the recipe's key. */
export const RECIPE_LABEL = 'enbi.hrzn.ee/recipe'
/** Store path that the image was made from. */
export const STORE_PATH_LABEL = 'enbi.hrzn.ee/store-path'

/** Digest of the hints that the package gives on how it is run. */
const HINTS_LABEL = 'enbi.hrzn.ee/package-hints'

/** The image record of that name. Waits while containerd is away. Throws Cancelled once `signal` aborts. */
export function findRecord(images: ImageRecords, image: string, signal: AbortSignal): Promise<ImageRecord | undefined> {
  return whenContainerdAnswers(() => images.find(image), signal)
}

/** `absent`: why a pod with the recipe cannot use what is there. */
export type Presence = { readonly id: string } | { readonly absent: string }

interface Wanted {
  readonly recipe: Recipe
  readonly signal: AbortSignal
}

/**
 * Whether the image of the recipe is there: CRI knows it, and containers can be made from it. `record` is the record of the
 * recipe's name. Waits and throws as `findRecord`.
 */
export async function findPresence(
  images: ImageRecords,
  record: ImageRecord | undefined,
  { recipe, signal }: Wanted,
): Promise<Presence> {
  if (record === undefined) return { absent: 'containerd has no image of that name' }
  if (record.labels[RECIPE_LABEL] === undefined) return { absent: 'it was not made from a recipe' }
  if (record.labels[RECIPE_LABEL] !== recipeKey(recipe)) return { absent: 'it was made from another recipe' }
  const look = () => Promise.all([images.present(recipe.image), images.usable(record)])
  const [present, isUsable] = await whenContainerdAnswers(look, signal)
  if (!isUsable) return { absent: UNUSABLE }
  // CRI is asked by name, and the name may belong to another image by now.
  return present && isAsWritten(record, present) ? { id: present.id } : { absent: 'its name belongs to another image' }
}

export const UNUSABLE = 'no container can be made from it'

/** Image id of the recipe's image, as `findPresence` finds it. */
export async function presentId(
  images: ImageRecords,
  record: ImageRecord | undefined,
  wanted: Wanted,
): Promise<string | undefined> {
  const presence = await findPresence(images, record, wanted)
  return 'id' in presence ? presence.id : undefined
}

const PAUSE_MS = 100

/** Holds the call while containerd is away, as the proxy holds the calls that it forwards. */
function whenContainerdAnswers<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  return retry(() => orCancelled(ask(), signal), {
    isTemporary: isContainerdAway,
    beforeNext: () => orCancelled(delay(PAUSE_MS), signal),
  })
}

/** Whether the image that CRI knows by the record's name is the one that the record was written for. */
export function isAsWritten({ labels }: ImageRecord, present: CriImage | undefined): boolean {
  return present !== undefined && present.id === labels[IMAGE_ID_LABEL]
}

/** Whether the image was made from exactly this result and its package still gives the same hints. */
export function isOfResult({ labels }: ImageRecord, result: BuildResult): boolean {
  return Object.entries(resultLabels(result)).every(([label, value]) => labels[label] === value)
}

/** Labels that tie an image record to its recipe and to its build. */
export function recipeLabels(recipe: Recipe, result: BuildResult): Record<string, string> {
  return { [RECIPE_LABEL]: recipeKey(recipe), ...resultLabels(result) }
}

/** Both labels are always set: containerd keeps a label that an update leaves out. */
function resultLabels({ storePath, package: hints = {} }: BuildResult): Record<string, string> {
  const digest = createHash('sha256').update(JSON.stringify(hints)).digest('hex')
  return { [STORE_PATH_LABEL]: storePath, [HINTS_LABEL]: digest }
}
