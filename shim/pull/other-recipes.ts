import type { Logger } from 'pino'
import { isUnanswered, RetryableError, type ShimError, toShimError } from '../../lib/errors.ts'
import { annotatedRecipes } from '../../recipes/find-recipe.ts'
import { type FlakeRecipe, type Recipe, recipeKey } from '../../recipes/recipe.ts'
import type { PodIdentity, PullImageRequest } from '../wire/cri.ts'
import type { ImageRecords, ImageRequest, RequestLimits } from './contract.ts'
import { findRecord, presentId } from './image-of-recipe.ts'

export interface OtherRecipesParts {
  /** Nix system of this node. */
  readonly system: string
  readonly images: () => Promise<ImageRecords>
  readonly pull: (request: ImageRequest, limits: RequestLimits) => Promise<unknown>
  readonly logger: Logger
}

/** Requests all recipes of a pod while one of its images is pulled: the kubelet pulls them one after another. */
export interface OtherRecipes {
  /** `own`: the recipe of the pull itself. Call the returned function when the pull ends, with its error. */
  request(call: PullImageRequest, own: Recipe | undefined): (error?: ShimError) => void
}

/** Beyond this many recipes of pods the oldest are forgotten, and may be requested once more. */
const MAX_DONE = 10_000

export function createOtherRecipes({ system, images, pull, logger }: OtherRecipesParts): OtherRecipes {
  /** Recipes whose pod has got an answer. Only the kubelet asks again for these, at its own pace. */
  const done = new Set<string>()

  function conclude(id: string, error: ShimError | undefined): void {
    if (error && (isUnanswered(error) || error.code === 'QueueFull')) return
    done.add(id)
    for (const oldest of done) {
      if (done.size <= MAX_DONE) return
      done.delete(oldest)
    }
  }

  /** Leaves an image that is present as it is: the kubelet pulls it only for `imagePullPolicy: Always`. */
  async function requestOther(recipe: FlakeRecipe, pod: PodIdentity, { signal, pullEnded }: Signals): Promise<void> {
    const records = await images()
    const record = await findRecord(records, recipe.image, signal)
    if ((await presentId(records, record, { recipe, signal })) !== undefined) return
    const hold = { caller: pod.uid, signal: pullEnded, asksAgain: true }
    await pull({ recipe, namespace: pod.namespace, pod }, { signal, hold })
  }

  return {
    request({ pod, annotations }, own) {
      if (!pod) return () => {}
      const idOf = (recipe: Recipe) => `${pod.uid} ${recipeKey(recipe)}`
      const ownId = own && idOf(own)
      const cancelled = new AbortController()
      const pullEnded = new AbortController()
      const signals = { signal: cancelled.signal, pullEnded: pullEnded.signal }
      for (const recipe of annotatedRecipes({ annotations, system })) {
        const id = idOf(recipe)
        if (id === ownId || done.has(id)) continue
        requestOther(recipe, pod, signals).then(
          () => conclude(id, undefined),
          reason => {
            const err = toShimError(reason)
            conclude(id, err)
            logger.debug({ err, image: recipe.image, pod: pod.name }, 'another image of the pod is not made yet')
          },
        )
      }
      return error => {
        if (ownId !== undefined) conclude(ownId, error)
        if (error?.code === 'Cancelled') cancelled.abort(error)
        // After `cancelled`: a request that is withdrawn gets no promise. Those of earlier results expire from now on.
        pullEnded.abort(new RetryableError('StillBuilding', 'the pod has not pulled this image yet'))
      }
    },
  }
}

interface Signals {
  /** Withdraws the request. */
  readonly signal: AbortSignal
  /** Aborted when the pull of the pod has ended, so that the kubelet pulls the next of its images. */
  readonly pullEnded: AbortSignal
}
