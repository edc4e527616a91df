import type { Kube } from '../../kube/client/contract.ts'
import { objectKey } from '../../kube/mirror.ts'
import { describeTakenNames, nixBuildNames } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { type NixBuildOptions, nixBuildOf } from '../../kube/resources/nixbuild-recipe.ts'
import { RetryableError } from '../../lib/errors.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { nixBuildView, recipeId } from '../views/nixbuild.ts'

/**
 * Creates the NixBuild of a recipe. Returns false if it is being created already: the pods of one recipe often come
 * together. Throws ClusterConflict if all its names are taken.
 */
export type CreateNixBuild = (recipe: FlakeRecipe, options: NixBuildOptions) => Promise<boolean>

export interface CreateNixBuildOptions {
  readonly state: Pick<ClusterState, 'builds'>
  readonly kube: Pick<Kube, 'create'>
}

export function createNixBuildCreator({ state, kube }: CreateNixBuildOptions): CreateNixBuild {
  const creating = new Set<string>()

  /** NixBuilds of other recipes stay. */
  async function createUnderFreeName(recipe: FlakeRecipe, options: NixBuildOptions): Promise<void> {
    const key = recipeKey(recipe)
    for (const name of nixBuildNames(recipe)) {
      const there = state.builds.get(objectKey({ namespace: options.namespace, name }))
      if (there && !('key' in there.recipe && there.recipe.key === key)) continue
      const created = await kube.create(nixBuilds, nixBuildOf(recipe, { ...options, name }))
      return state.builds.recordWrite(nixBuildView(created))
    }
    throw new RetryableError('ClusterConflict', describeTakenNames(recipe, options.namespace))
  }

  return async (recipe, options) => {
    const id = recipeId(options.namespace, recipeKey(recipe))
    if (creating.has(id)) return false
    creating.add(id)
    try {
      await createUnderFreeName(recipe, options)
      return true
    } finally {
      creating.delete(id)
    }
  }
}
