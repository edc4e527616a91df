import { createHash } from 'node:crypto'
import type { FlakeUrl } from './flake-url.ts'

/** What to provide, and under which image reference. */
export type Recipe = FlakeRecipe | StorePathRecipe

export type FlakeRecipe = PackageRecipe | PackageSetRecipe

/** One package of a flake, which becomes the image. */
export interface PackageRecipe extends OfFlake {
  /**
   * Attribute path below `packages.<system>` or `legacyPackages.<system>`, such as `app` or `images.web`. With a
   * leading dot, the full path: `.containers.x86_64-linux.web`.
   */
  readonly packageName: string
}

/** Packages of a flake that become one image together. */
export interface PackageSetRecipe extends OfFlake {
  readonly contents: Contents
}

/**
 * Attribute paths below `legacyPackages.<system>`, sorted and distinct, at least one: `['curl',
 * 'python3Packages.requests']`.
 */
export type Contents = readonly string[]

interface OfFlake {
  /**
   * Normalized image reference, such as `docker.io/library/app:latest` or `registry.example:5000/team/app@sha256:…`.
   */
  readonly image: string
  readonly flake: FlakeUrl
  /** Nix system, such as `x86_64-linux`. */
  readonly system: string
}

/** A store path that the image reference itself names. Nix realises it. */
export interface StorePathRecipe {
  /** Normalized image reference: `nix:0/nix/store/<hash>-<name>:latest`. */
  readonly image: string
  /** `/nix/store/<hash>-<name>`, never a derivation. */
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

/** Whether the recipe always gives the same content. */
export function isLocked(recipe: Recipe): boolean {
  return !isFlakeRecipe(recipe) || recipe.flake.locked
}

/** Stable id of a recipe: the hex sha256 of its parts. */
export function recipeKey(recipe: Recipe): string {
  return createHash('sha256')
    .update(JSON.stringify([recipe.image, ...partsOf(recipe)]))
    .digest('hex')
}

function partsOf(recipe: Recipe): unknown[] {
  if (!isFlakeRecipe(recipe)) return [recipe.storePath]
  return [recipe.flake.url, isPackageSet(recipe) ? recipe.contents : recipe.packageName, recipe.system]
}

/**
 * Describes the recipe for messages: `app of github:team/app`, `curl and jq of github:NixOS/nixpkgs`,
 * `/nix/store/<hash>-<name>`.
 */
export function describeRecipe(recipe: Recipe): string {
  return isFlakeRecipe(recipe) ? `${describePackages(recipe)} of ${recipe.flake.url}` : recipe.storePath
}

/**
 * Formats the recipe as nix would: `github:team/app#app`, `github:NixOS/nixpkgs#{curl,jq}`. By default it names at most
 * eight packages.
 */
export function formatRecipe(recipe: FlakeRecipe, { whole = false } = {}): string {
  if (!isPackageSet(recipe)) return `${recipe.flake.url}#${recipe.packageName}`
  const { contents } = recipe
  const named = whole ? contents : contents.slice(0, MAX_NAMED)
  return `${recipe.flake.url}#{${named.join(',')}${named.length < contents.length ? ',…' : ''}}`
}

/** Most packages of a set that a message names. */
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

/** Describes the work for messages: `building app of github:team/app`, `fetching /nix/store/<hash>-<name>`. */
export function describeWork(recipe: Recipe): string {
  return `${isFlakeRecipe(recipe) ? 'building' : 'fetching'} ${describeRecipe(recipe)}`
}

/** The packages, under the key that NixBuilds and annotations use. */
export function packagesOf(recipe: FlakeRecipe): { packageName: string } | { contents: string[] } {
  return isPackageSet(recipe) ? { contents: [...recipe.contents] } : { packageName: recipe.packageName }
}

/** The recipe as fields of a log line. */
export function recipeFields(recipe: Recipe): Record<string, string> {
  if (!isFlakeRecipe(recipe)) return { wanted: recipe.storePath }
  const packages = isPackageSet(recipe) ? { contents: describePackages(recipe) } : { package: recipe.packageName }
  return { flake: recipe.flake.url, ...packages }
}
