import { FinalError } from '../../lib/errors.ts'
import { quote } from '../../lib/text/quote.ts'
import { expandContents } from '../contents.ts'
import { type FlakeRecipe, isFlakeRecipe, isPackageSet, type Recipe } from '../recipe.ts'
import { repositoryOf } from '../reference.ts'
import { STORE_PATH_HOST } from '../store-path.ts'
import { compileGlob } from './glob.ts'

/** One line of the policy. Patterns are globs: `*` stays within one path segment, `**` crosses, a lone `*` is anything. */
export interface PolicyRule {
  readonly namespaces: readonly string[]
  /**
   * Against the normalised reference, with and without its tag: `registry.example/team/*`. A store path needs a pattern that
   * spells its host out: `nix:0/nix/store/*`.
   */
  readonly images: readonly string[]
  /**
   * Against the flake URL without its query and revision. A local URL needs a pattern that spells its scheme out. A package
   * set needs one for package sets: `packages:github:NixOS/nixpkgs`. A store path has no flake, and needs no pattern.
   */
  readonly flakes: readonly string[]
  /** Against each name of a package set's contents, as it is spelled there; `shell` is all that it stands for. Missing: any. */
  readonly contents?: readonly string[] | undefined
  /** Refuse a flake URL that does not pin a revision. */
  readonly requireLocked: boolean
  /** Allow replacing an image of that name which the shim did not put there. */
  readonly replaceForeign: boolean
  /** Make an image of a package that is none. */
  readonly plainPackages: boolean
  /** Most bytes of an image's layers, decompressed. */
  readonly maxImageSize: number
}

/** Returns the rule that allows the recipe. Throws PolicyRefused, saying which of namespace, image and flake did not match. */
export type Policy = (namespace: string, recipe: Recipe) => PolicyRule

/** Compiles the rules; the first that matches namespace, image and flake decides. No rule: nothing is built. */
export function createPolicy(rules: readonly PolicyRule[]): Policy {
  const compiled = rules.map(compileRule)
  return (namespace, recipe) => {
    const forNamespace = compiled.filter(rule => rule.namespace(namespace))
    if (forNamespace.length === 0)
      throw refused(
        recipe,
        rules.length === 0 ? 'the policy has no rule' : `no rule is for namespace ${quote(namespace)}`,
      )
    const forImage = forNamespace.filter(rule => rule.image(recipe))
    const [first] = forImage
    if (!first) throw refused(recipe, imageReason(namespace, recipe))
    return isFlakeRecipe(recipe) ? decideByFlake(forImage, namespace, recipe) : first.rule
  }
}

function decideByFlake(rules: readonly CompiledRule[], namespace: string, recipe: FlakeRecipe): PolicyRule {
  const forFlake = rules.filter(rule => rule.flake(recipe))
  if (forFlake.length === 0) throw refused(recipe, flakeReason(namespace, recipe))
  const contents = isPackageSet(recipe) ? recipe.contents : []
  const decisive = forFlake.find(rule => contents.every(rule.content))
  if (!decisive) throw refused(recipe, contentsReason(namespace, recipe, outside(forFlake, contents)))
  if (decisive.rule.requireLocked && !recipe.flake.locked)
    throw refused(
      recipe,
      `the rule wants a locked flake, and ${quote(recipe.flake.url)} pins no revision (rev=… or narHash=…)`,
    )
  return decisive.rule
}

interface CompiledRule {
  readonly rule: PolicyRule
  readonly namespace: (namespace: string) => boolean
  readonly image: (recipe: Recipe) => boolean
  readonly flake: (recipe: FlakeRecipe) => boolean
  readonly content: (name: string) => boolean
}

/** What the first rule does not allow. */
function outside([first]: readonly CompiledRule[], contents: readonly string[]): readonly string[] {
  return contents.filter(name => !first?.content(name))
}

/** What a pattern for package sets begins with. */
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
  const images = matcher(rule.images)
  const storePaths = matcher(rule.images.filter(isForStorePaths))
  const flakes = rule.flakes.map(pattern => ({ pattern, matches: matcher([pattern]) }))
  const isSpelledOut = (pattern: string, recipe: FlakeRecipe) => {
    if (isPackageSet(recipe) !== isForPackageSets(pattern)) return false
    return !recipe.flake.local || pattern.startsWith(`${patternSubject(recipe, recipe.flake.scheme)}:`)
  }
  return {
    rule,
    namespace: matcher(rule.namespaces),
    image: recipe => {
      const matches = isFlakeRecipe(recipe) ? images : storePaths
      return matches(recipe.image) || matches(repositoryOf(recipe.image))
    },
    flake: recipe =>
      flakes.some(
        ({ pattern, matches }) => isSpelledOut(pattern, recipe) && matches(patternSubject(recipe, recipe.flake.source)),
      ),
    content: contentMatcher(expandContents(rule.contents ?? ['*'])),
  }
}

/** A flake, or what its URL begins with, as patterns have it. */
function patternSubject(recipe: FlakeRecipe, flake: string): string {
  return isPackageSet(recipe) ? `${PACKAGES}${flake}` : flake
}

function matcher(patterns: readonly string[]): (text: string) => boolean {
  const tests = patterns.map(pattern => (pattern === '*' ? () => true : compileGlob(pattern)))
  return text => tests.some(test => test(text))
}

/** Dots separate as slashes do elsewhere: every Python package of nixpkgs has all of nixpkgs below its `pkgs`. */
function contentMatcher(patterns: readonly string[]): (name: string) => boolean {
  const matches = matcher(patterns.map(asPath))
  return name => matches(asPath(name))
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

/** A refusal names so many packages. */
const MAX_NAMED = 5

function contentsReason(namespace: string, { image }: FlakeRecipe, refusedNames: readonly string[]): string {
  const more = refusedNames.length > MAX_NAMED ? ` and ${refusedNames.length - MAX_NAMED} more` : ''
  const named = refusedNames.slice(0, MAX_NAMED).map(quote).join(', ')
  return `no rule for namespace ${quote(namespace)} and image ${quote(image)} allows ${named}${more} in its contents`
}

function refused(recipe: Recipe, reason: string): FinalError {
  // Whoever reads it may have named the image alone.
  const doing = isFlakeRecipe(recipe)
    ? `building ${quote(recipe.image)} from ${quote(patternSubject(recipe, recipe.flake.source))}`
    : `realising ${quote(recipe.image)}`
  return new FinalError('PolicyRefused', `the node's policy does not allow ${doing}: ${reason}`)
}
