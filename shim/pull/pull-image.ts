import { findRecipe } from '../../recipes/find-recipe.ts'
import type { Names } from '../../recipes/names/names.ts'
import { storePathRecipe } from '../../recipes/store-path-reference.ts'
import type { UnaryInterceptor } from '../proxy/contract.ts'
import type { FindClusterRecipe, ImageRequest, PullImage } from './contract.ts'
import { decodePullImage, encodePullImageResponse, type PullImageRequest } from './cri-messages.ts'

export interface PullImageOptions {
  readonly pull: PullImage
  readonly names: Names
  /** Missing without a cluster. */
  readonly findClusterRecipe: FindClusterRecipe | undefined
  /** Nix system of this node. */
  readonly system: string
}

/** PullImage of an image that has a recipe is answered once it is built and imported; any other is containerd's. */
export function createPullImage(options: PullImageOptions): UnaryInterceptor {
  return async ({ request: message, signal }) => {
    const request = await findRequest(options, decodePullImage(message), signal)
    if (!request) return { kind: 'forward' }
    return { kind: 'reply', message: encodePullImageResponse({ imageRef: await options.pull(request, signal) }) }
  }
}

/** The pod's own annotations come first; then the image's own name; then the cluster. */
async function findRequest(
  { system, names, findClusterRecipe }: PullImageOptions,
  { image, namespace, annotations, pod }: PullImageRequest,
  signal: AbortSignal,
): Promise<ImageRequest | undefined> {
  const recipe = findRecipe({ image, annotations, system })
  if (recipe) return { recipe, namespace, pod }
  const named = storePathRecipe(image) ?? names.recipeOf(image)
  if (named) return { recipe: named, namespace, pod }
  const found = namespace === '' ? undefined : await findClusterRecipe?.({ image, namespace, signal })
  return found && { ...found, namespace, pod }
}
