import { FinalError } from '../../lib/errors.ts'
import { parseContentsFor } from '../../recipes/contents.ts'
import { parseFlakeUrl } from '../../recipes/flake-url.ts'
import { parsePackageName } from '../../recipes/package-name.ts'
import { type FlakeRecipe, packagesOf } from '../../recipes/recipe.ts'
import { normalizeFlakeImage } from '../../recipes/reference.ts'
import { parseSystem } from '../../recipes/system.ts'
import type { ObjectName } from '../client/contract.ts'
import type { OwnerReference } from './metadata.ts'
import { type CONTROLLER, MANAGED_BY_LABEL, nixBuildName, type SHIM } from './names.ts'
import type { NixBuildSpec } from './nixbuild.ts'

/** Throws RecipeInvalid: the CRD's own validation is less strict. */
export function recipeOf({ spec }: { readonly spec: NixBuildSpec }): FlakeRecipe {
  const { packageName, contents } = spec
  const common = { image: normalizeFlakeImage(spec.imageTag), flake: parseFlakeUrl(spec.flakeUrl) }
  const system = parseSystem(spec.system)
  if (contents === undefined && packageName !== undefined)
    return { ...common, packageName: parsePackageName(packageName).text, system }
  if (contents !== undefined && packageName === undefined) return { ...common, ...parseContentsFor(contents, system) }
  throw new FinalError('RecipeInvalid', 'it must have either packageName or contents, and not both')
}

export interface NixBuildOptions {
  readonly namespace: string
  /** One of `nixBuildNames`; by default the first. */
  readonly name?: string
  readonly managedBy: typeof CONTROLLER | typeof SHIM
  readonly ownerReferences?: readonly OwnerReference[]
}

/** The NixBuild of a recipe, as `Kube.create` takes it. */
export function nixBuildOf(
  recipe: FlakeRecipe,
  { namespace, name = nixBuildName(recipe), managedBy, ownerReferences = [] }: NixBuildOptions,
): NewNixBuild {
  const spec = specOf(recipe)
  const owners = ownerReferences.length > 0 && { ownerReferences }
  const metadata = { labels: { [MANAGED_BY_LABEL]: managedBy }, ...owners }
  return { namespace, name, body: { metadata, spec } }
}

export function specOf(recipe: FlakeRecipe): NixBuildSpec {
  return { flakeUrl: recipe.flake.url, imageTag: recipe.image, ...packagesOf(recipe), system: recipe.system }
}

type NewNixBuild = ObjectName & { readonly body: { readonly metadata: object; readonly spec: NixBuildSpec } }
