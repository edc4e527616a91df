import { createHash } from 'node:crypto'
import type { FlakeUrl } from './flake-url.ts'

/** What is to be made under which name. */
export type Recipe = FlakeRecipe | StorePathRecipe

/** A package of a flake, to be built. */
export interface FlakeRecipe {
  /** Normalised image reference: `docker.io/library/app:latest`, `registry.example:5000/team/app@sha256:…`. */
  readonly image: string
  readonly flake: FlakeUrl
  /** Attribute path below `packages.<system>`, dots separate: `app`, `images.web`. */
  readonly packageName: string
  /** Nix system: `x86_64-linux`. */
  readonly system: string
}

/** A store path that the image's own name gives, to be realised. */
export interface StorePathRecipe {
  /** Normalised image reference: `nix:0/nix/store/<hash>-<name>:latest`. */
  readonly image: string
  /** `/nix/store/<hash>-<name>`, no derivation. */
  readonly storePath: string
}

export function isFlakeRecipe(recipe: Recipe): recipe is FlakeRecipe {
  return 'flake' in recipe
}

/** Whether the recipe stands for one content, today and tomorrow. */
export function isLocked(recipe: Recipe): boolean {
  return !isFlakeRecipe(recipe) || recipe.flake.locked
}

/** Stable id of a recipe: the hex sha256 over its parts. */
export function recipeKey(recipe: Recipe): string {
  return createHash('sha256')
    .update(JSON.stringify([recipe.image, ...partsOf(recipe)]))
    .digest('hex')
}

function partsOf(recipe: Recipe): string[] {
  return isFlakeRecipe(recipe) ? [recipe.flake.url, recipe.packageName, recipe.system] : [recipe.storePath]
}

/** What is made, for a message: `app of github:team/app`, `/nix/store/<hash>-<name>`. */
export function describeRecipe(recipe: Recipe): string {
  return isFlakeRecipe(recipe) ? `${recipe.packageName} of ${recipe.flake.url}` : recipe.storePath
}

/** The same as what is being done: `building app of github:team/app`, `fetching /nix/store/<hash>-<name>`. */
export function describeMaking(recipe: Recipe): string {
  return `${isFlakeRecipe(recipe) ? 'building' : 'fetching'} ${describeRecipe(recipe)}`
}

/** What is made, as fields of a log line. */
export function recipeFields(recipe: Recipe): Record<string, string> {
  return isFlakeRecipe(recipe) ? { flake: recipe.flake.url, package: recipe.packageName } : { wanted: recipe.storePath }
}
