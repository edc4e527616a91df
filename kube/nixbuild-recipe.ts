import { parseFlakeUrl } from '../shim/build/flake-url.ts'
import { parsePackageName } from '../shim/build/package-name.ts'
import type { FlakeRecipe } from '../shim/build/recipe.ts'
import { parseSystem } from '../shim/build/system.ts'
import { normaliseFlakeImage } from '../shim/reference.ts'
import type { ObjectName } from './contract.ts'
import type { OwnerReference } from './metadata.ts'
import { type CONTROLLER, MANAGED_BY_LABEL, nixBuildName, type SHIM } from './names.ts'
import type { NixBuildSpec } from './nixbuild.ts'

/** Throws RecipeInvalid: the API server's own check of a NixBuild is a little wider. */
export function recipeOf({ spec }: { readonly spec: NixBuildSpec }): FlakeRecipe {
  return {
    image: normaliseFlakeImage(spec.imageTag),
    flake: parseFlakeUrl(spec.flakeUrl),
    packageName: parsePackageName(spec.packageName).text,
    system: parseSystem(spec.system),
  }
}

export interface Making {
  readonly namespace: string
  /** One of `nixBuildNames`; the first unless told otherwise. */
  readonly name?: string
  readonly managedBy: typeof CONTROLLER | typeof SHIM
  readonly ownerReferences?: readonly OwnerReference[]
}

/** The NixBuild of a recipe, as `Kube.create` takes it. */
export function nixBuildOf(
  recipe: FlakeRecipe,
  { namespace, name = nixBuildName(recipe), managedBy, ownerReferences = [] }: Making,
): NewNixBuild {
  const spec: NixBuildSpec = {
    flakeUrl: recipe.flake.url,
    imageTag: recipe.image,
    packageName: recipe.packageName,
    system: recipe.system,
  }
  const owners = ownerReferences.length > 0 && { ownerReferences }
  const metadata = { labels: { [MANAGED_BY_LABEL]: managedBy }, ...owners }
  return { namespace, name, body: { metadata, spec } }
}

type NewNixBuild = ObjectName & { readonly body: { readonly metadata: object; readonly spec: NixBuildSpec } }
