import { FinalError } from '../../lib/errors.ts'
import { quote } from '../../lib/text/quote.ts'
import { expandContents } from '../contents.ts'
import { type FlakeRecipe, isFlakeRecipe, isPackageSet, type Recipe } from '../recipe.ts'
import { repositoryOf } from '../reference.ts'
import { STORE_PATH_HOST } from '../store-path.ts'
import { compilePattern, type Pattern } from './pattern.ts'

/**
 * A rule of the policy. Patterns are globs: `*` stays within a path segment, `**` crosses segments, a lone `*` matches
 * anything. In `images` and `flakes`, `{namespace}` stands for the namespace of the pod.
 */
export interface PolicyRule {
  readonly namespaces: readonly string[]
  /**
   * Matched against the normalized reference, with and without its tag: `registry.example/team/*`. A store path needs a
   * pattern with its host spelled out: `nix:0/nix/store/*`.
   */
  readonly images: readonly string[]
  /**
   * Matched against the flake URL without query and revision. A local URL needs a pattern with its scheme spelled out.
   * A package set needs a pattern for package sets: `packages:github:NixOS/nixpkgs`. A store path has no flake and
   * needs no pattern.
   */
  readonly flakes: readonly string[]
  /**
   * Matched against each package of a set. `shell` allows all packages that it stands for. Undefined allows any
   * package.
   */
  readonly contents?: readonly string[] | undefined
  /** Refuse flake URLs that do not pin a revision. */
  readonly requireLocked: boolean
  /** Allow replacing an image of the same name that the shim did not create. */
  readonly replaceForeign: boolean
  /** Wrap packages that are not images. */
  readonly plainPackages: boolean
  /** Limit for the uncompressed layers of an image, in bytes. */
  readonly maxImageSize: number
}

/**
 * Returns the rule that allows the recipe. Throws PolicyRefused, which says whether namespace, image or flake did not
 * match.
 */
export type Policy = (namespace: string, recipe: Recipe) => PolicyRule

export function isAllowed(policy: Policy, namespace: string, recipe: Recipe): boolean {
  try {
    policy(namespace, recipe)
    return true
  } catch (error) {
    if (error instanceof FinalError) return false
    throw error
  }
}

/**
 * Compiles the rules. The first rule that matches namespace, image, flake and contents decides. Without a rule nothing is built.
 */
export function createPolicy(rules: readonly PolicyRule[]): Policy {
  const compiled = rules.map(compileRule)
  return (namespace, recipe) => {
    const forNamespace = compiled.filter(rule => rule.namespace(namespace))
    if (forNamespace.length === 0)
      throw refused(
        recipe,
        rules.length === 0 ? 'the policy has no rule' : `no rule applies to namespace ${quote(namespace)}`,
      )
    const forImage = forNamespace.filter(rule => rule.image(recipe, namespace))
    const [first] = forImage
    if (!first) throw refused(recipe, imageReason(namespace, recipe))
    return isFlakeRecipe(recipe) ? decideByFlake(forImage, namespace, recipe) : first.rule
  }
}

function decideByFlake(rules: readonly CompiledRule[], namespace: string, recipe: FlakeRecipe): PolicyRule {
  const forFlake = rules.filter(rule => rule.flake(recipe, namespace))
  if (forFlake.length === 0) throw refused(recipe, flakeReason(namespace, recipe))
  const contents = isPackageSet(recipe) ? recipe.contents : []
  const decisive = forFlake.find(rule => contents.every(rule.content))
  if (!decisive) throw refused(recipe, contentsReason(namespace, recipe.image, contents, forFlake))
  if (decisive.rule.requireLocked && !recipe.flake.locked)
    throw refused(
      recipe,
      `the rule requires a locked flake, and ${quote(recipe.flake.url)} does not pin a revision (rev=… or narHash=…)`,
    )
  return decisive.rule
}

interface CompiledRule {
  readonly rule: PolicyRule
  readonly namespace: (namespace: string) => boolean
  readonly image: (recipe: Recipe, namespace: string) => boolean
  readonly flake: (recipe: FlakeRecipe, namespace: string) => boolean
  readonly content: (name: string) => boolean
}

/** Prefix of patterns for package sets. */
const PACKAGES = 'packages:'

/** Whether a flake pattern can allow package sets. */
export function isForPackageSets(pattern: string): boolean {
  return pattern.startsWith(PACKAGES)
}

/** Whether an image pattern can allow references to store paths. */
export function isForStorePaths(pattern: string): boolean {
  return pattern.startsWith(`${STORE_PATH_HOST}/`)
}

function compileRule(rule: PolicyRule): CompiledRule {
  const namespaces = matcher(rule.namespaces)
  const images = matcher(rule.images)
  const storePaths = matcher(rule.images.filter(isForStorePaths))
  const flakes = rule.flakes.map(pattern => ({ pattern, matches: compilePattern(pattern) }))
  const isSpelledOut = (pattern: string, recipe: FlakeRecipe) => {
    if (isPackageSet(recipe) !== isForPackageSets(pattern)) return false
    return !recipe.flake.local || pattern.startsWith(`${patternSubject(recipe, recipe.flake.scheme)}:`)
  }
  return {
    rule,
    namespace: namespace => namespaces(namespace, NO_NAMESPACE),
    image: (recipe, namespace) => {
      const matches = isFlakeRecipe(recipe) ? images : storePaths
      return matches(recipe.image, namespace) || matches(repositoryOf(recipe.image), namespace)
    },
    flake: (recipe, namespace) => {
      const subject = patternSubject(recipe, recipe.flake.source)
      return flakes.some(({ pattern, matches }) => isSpelledOut(pattern, recipe) && matches(subject, namespace))
    },
    content: contentMatcher(expandContents(rule.contents ?? ['*'])),
  }
}

/** The text that flake patterns are matched against. `flake` is the flake's source, or its scheme. */
function patternSubject(recipe: FlakeRecipe, flake: string): string {
  return isPackageSet(recipe) ? `${PACKAGES}${flake}` : flake
}

/** For patterns that are the same for every namespace. */
const NO_NAMESPACE = ''

function matcher(patterns: readonly string[]): Pattern {
  const tests = patterns.map(compilePattern)
  return (text, namespace) => tests.some(test => test(text, namespace))
}

/**
 * Dots separate attributes as slashes separate segments: every Python package of nixpkgs has all of nixpkgs below its
 * `pkgs`.
 */
function contentMatcher(patterns: readonly string[]): (name: string) => boolean {
  const matches = matcher(patterns.map(asPath))
  return name => matches(asPath(name), NO_NAMESPACE)
}

function asPath(name: string): string {
  return name.replaceAll('.', '/')
}

function imageReason(namespace: string, recipe: Recipe): string {
  const reason = `no rule for namespace ${quote(namespace)} allows image ${quote(recipe.image)}`
  if (isFlakeRecipe(recipe)) return reason
  return `${reason}; a store path needs a pattern that starts with ${quote(`${STORE_PATH_HOST}/`)}`
}

function flakeReason(namespace: string, recipe: FlakeRecipe): string {
  const { image, flake } = recipe
  const subject = patternSubject(recipe, flake.source)
  const reason = `no rule for namespace ${quote(namespace)} and image ${quote(image)} allows flake ${quote(subject)}`
  if (flake.local)
    return `${reason}; a local flake needs a pattern that starts with ${quote(`${patternSubject(recipe, flake.scheme)}:`)}`
  return isPackageSet(recipe) ? `${reason}; a package set needs a pattern that starts with ${quote(PACKAGES)}` : reason
}

/** Most packages that a message names. */
const MAX_NAMED = 5

/** `rules` allow all of the recipe but its contents. Names what the first of them lacks. */
function contentsReason(
  namespace: string,
  image: string,
  contents: readonly string[],
  rules: readonly CompiledRule[],
): string {
  const refusedNames = contents.filter(name => !rules[0]?.content(name))
  const more = refusedNames.length > MAX_NAMED ? ` and ${refusedNames.length - MAX_NAMED} more` : ''
  const named = refusedNames.slice(0, MAX_NAMED).map(quote).join(', ')
  const subject = `namespace ${quote(namespace)} and image ${quote(image)}`
  if (rules.length === 1) return `no rule for ${subject} allows ${named}${more} in its contents`
  return `none of the ${rules.length} rules for ${subject} allows all of its contents; the first does not allow ${named}${more}`
}

function refused(recipe: Recipe, reason: string): FinalError {
  // The reader may have named only the image.
  const doing = isFlakeRecipe(recipe)
    ? `building ${quote(recipe.image)} from ${quote(patternSubject(recipe, recipe.flake.source))}`
    : `realising ${quote(recipe.image)}`
  return new FinalError('PolicyRefused', `the node's policy does not allow ${doing}: ${reason}`)
}
