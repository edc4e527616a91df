import { createHash } from 'node:crypto'
import type { FlakeUrl } from './flake-url.ts'

/** What is to be made under which name. */
export type Recipe = FlakeRecipe | StorePathRecipe

/** What is to be built from a flake. */
export type FlakeRecipe = PackageRecipe | PackageSetRecipe

/** A package of a flake, which is the image. */
export interface PackageRecipe extends OfFlake {
  /**
   * Attribute path below `packages.<system>` or `legacyPackages.<system>`, dots separate: `app`, `images.web`. With a dot before it,
   * the whole path: `.containers.x86_64-linux.web`.
   */
  readonly packageName: string
}

/** Packages of a flake, which together are made an image. */
export interface PackageSetRecipe extends OfFlake {
  readonly contents: Contents
}

/** Attribute paths below `legacyPackages.<system>`, sorted, each once: `['curl', 'python3Packages.requests']`. At least one. */
export type Contents = readonly string[]

interface OfFlake {
  /** Normalised image reference: `docker.io/library/app:latest`, `registry.example:5000/team/app@sha256:…`. */
  readonly image: string
  readonly flake: FlakeUrl
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

export function isPackageSet<Some extends object>(
  recipe: Some,
): recipe is Extract<Some, { readonly contents: Contents }> {
  return 'contents' in recipe
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

function partsOf(recipe: Recipe): unknown[] {
  if (!isFlakeRecipe(recipe)) return [recipe.storePath]
  return [recipe.flake.url, isPackageSet(recipe) ? recipe.contents : recipe.packageName, recipe.system]
}

/** What is made, for a message: `app of github:team/app`, `curl and jq of github:NixOS/nixpkgs`, `/nix/store/<hash>-<name>`. */
export function describeRecipe(recipe: Recipe): string {
  return isFlakeRecipe(recipe) ? `${describePackages(recipe)} of ${recipe.flake.url}` : recipe.storePath
}

/** The same as nix has it: `github:team/app#app`, `github:NixOS/nixpkgs#{curl,jq}`. At most eight packages are named, unless all are to be. */
export function formatRecipe(recipe: FlakeRecipe, { whole = false } = {}): string {
  if (!isPackageSet(recipe)) return `${recipe.flake.url}#${recipe.packageName}`
  const { contents } = recipe
  const named = whole ? contents : contents.slice(0, MAX_NAMED)
  return `${recipe.flake.url}#{${named.join(',')}${named.length < contents.length ? ',…' : ''}}`
}

/** A message names so many packages of a set. */
const MAX_NAMED = 8

function describePackages(recipe: FlakeRecipe): string {
  if (!isPackageSet(recipe)) return recipe.packageName
  const { contents } = recipe
  const [only] = contents
  if (only !== undefined && contents.length === 1) return only
  const named = contents.length > MAX_NAMED ? contents.slice(0, MAX_NAMED) : contents.slice(0, -1)
  const last = contents.length > MAX_NAMED ? `${contents.length - MAX_NAMED} more packages` : contents.at(-1)
  return `${named.join(', ')} and ${last}`
}

/** The same as what is being done: `building app of github:team/app`, `fetching /nix/store/<hash>-<name>`. */
export function describeMaking(recipe: Recipe): string {
  return `${isFlakeRecipe(recipe) ? 'building' : 'fetching'} ${describeRecipe(recipe)}`
}

/** What is built of the flake, as a NixBuild and the annotations name it. */
export function packagesOf(recipe: FlakeRecipe): { packageName: string } | { contents: string[] } {
  return isPackageSet(recipe) ? { contents: [...recipe.contents] } : { packageName: recipe.packageName }
}

/** What is made, as fields of a log line. */
export function recipeFields(recipe: Recipe): Record<string, string> {
  if (!isFlakeRecipe(recipe)) return { wanted: recipe.storePath }
  const packages = isPackageSet(recipe) ? { contents: describePackages(recipe) } : { package: recipe.packageName }
  return { flake: recipe.flake.url, ...packages }
}
