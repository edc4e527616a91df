import { namespaceOf } from '../../kube/mirror.ts'
import { SHIM } from '../../kube/resources/names.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { FinalError } from '../../lib/errors.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'
import { imageId } from '../state/builds.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { recipeId } from '../views/nixbuild.ts'
import type { NodeEntry } from '../views/nixnode.ts'
import type { CreateNixBuild } from './create-nixbuild.ts'

/**
 * Creates the NixBuilds of recipes that only this node knows: the images' names are their recipes. Throws the first
 * failure after it has tried all.
 */
export type NodeRecipes = (node: string) => Promise<void>

export interface NodeRecipesOptions {
  readonly state: Pick<ClusterState, 'pods' | 'builds' | 'nodeBuilds'>
  readonly create: CreateNixBuild
}

/** NixBuilds of one image in a namespace. A node may say that an image has any recipe. */
const MAX_PER_IMAGE = 8

export function createNodeRecipes({ state: { pods, builds, nodeBuilds }, create }: NodeRecipesOptions): NodeRecipes {
  async function createFor(node: string, { id, state, details }: NodeEntry): Promise<void> {
    const namespace = namespaceOf(id)
    // The node has refused it: there is nothing to show but the Event of the pod.
    if (state === 'Failed' && details.buildJobName === undefined) return
    const recipe = details.recipe && readRecipe(details.recipe)
    if (recipe === undefined || recipeId(namespace, recipeKey(recipe)) !== id) return
    // For pods with annotations, the pods' own reconciler creates it.
    if ([...pods.podsRequesting(id).values()].some(({ named }) => !named)) return
    const image = imageId(namespace, recipe.image)
    if (!pods.isImageUsedOn(image, node)) return
    if (builds.recipesOf(image).length >= MAX_PER_IMAGE) return
    await create(recipe, { namespace, managedBy: SHIM })
  }

  return async node => {
    const failures: unknown[] = []
    for (const entry of nodeBuilds.onNode(node)) {
      if (!entry.details.recipe || builds.ofRecipe(entry.id).length > 0) continue
      // A namespace may have no room for another one.
      await createFor(node, entry).catch(error => failures.push(error))
    }
    if (failures.length > 0) throw failures[0]
  }
}

/** Undefined if the recipe is invalid: it may come from a newer shim. */
export function readRecipe(spec: Parameters<typeof recipeOf>[0]['spec']): FlakeRecipe | undefined {
  try {
    return recipeOf({ spec })
  } catch (error) {
    if (error instanceof FinalError) return undefined
    throw error
  }
}
