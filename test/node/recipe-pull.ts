import { annotationName } from '../../recipes/annotations.ts'
import type { Annotations, Pull } from './cri.ts'

export interface PodRecipe {
  readonly image: string
  readonly flakeUrl: string
  readonly packageName: string
}

/** The annotations of a pod that tie the image to the flake. The suffix, such as `.web`, tells several recipes apart. */
export function recipeAnnotations({ image, flakeUrl, packageName }: PodRecipe, suffix = ''): Annotations {
  return {
    [annotationName('imageTag', suffix)]: image,
    [annotationName('flakeUrl', suffix)]: flakeUrl,
    [annotationName('packageName', suffix)]: packageName,
  }
}

/** The annotations of a pod with several images. */
export function allAnnotations(recipes: readonly PodRecipe[]): Annotations {
  return Object.assign({}, ...recipes.map((recipe, index) => recipeAnnotations(recipe, `.${index}`)))
}

/** The pull that a kubelet makes for such a pod. */
export function recipePull(recipe: PodRecipe): Pull {
  return { image: recipe.image, annotations: recipeAnnotations(recipe) }
}
