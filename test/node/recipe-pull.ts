import { annotationName } from '../../recipes/annotations.ts'
import type { Annotations, Pull } from './cri.ts'

export interface PodRecipe {
  readonly image: string
  readonly flakeUrl: string
  readonly packageName: string
}

/** The annotations of a pod that tie the image to the flake. */
export function recipeAnnotations({ image, flakeUrl, packageName }: PodRecipe): Annotations {
  return {
    [annotationName('imageTag')]: image,
    [annotationName('flakeUrl')]: flakeUrl,
    [annotationName('packageName')]: packageName,
  }
}

/** The pull that a kubelet makes for such a pod. */
export function recipePull(recipe: PodRecipe): Pull {
  return { image: recipe.image, annotations: recipeAnnotations(recipe) }
}
