import { type FlakeRecipe, isFlakeRecipe, type Recipe } from '../build/recipe.ts'
import { FinalError } from '../errors.ts'
import { quote } from '../quote.ts'
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
   * Against the flake URL without its query and revision. A local URL needs a pattern that spells its scheme out. A store
   * path has no flake, and needs no pattern.
   */
  readonly flakes: readonly string[]
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
  const decisive = rules.find(rule => rule.flake(recipe))
  if (!decisive) throw refused(recipe, flakeReason(namespace, recipe))
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
}

/** Whether an image pattern can allow references to store paths. */
export function isForStorePaths(pattern: string): boolean {
  return pattern.startsWith(`${STORE_PATH_HOST}/`)
}

function compileRule(rule: PolicyRule): CompiledRule {
  const images = matcher(rule.images)
  const storePaths = matcher(rule.images.filter(isForStorePaths))
  const flakes = rule.flakes.map(pattern => ({ pattern, matches: matcher([pattern]) }))
  return {
    rule,
    namespace: matcher(rule.namespaces),
    image: recipe => {
      const matches = isFlakeRecipe(recipe) ? images : storePaths
      return matches(recipe.image) || matches(repositoryOf(recipe.image))
    },
    flake: ({ flake }) =>
      flakes.some(
        ({ pattern, matches }) => (!flake.local || pattern.startsWith(`${flake.scheme}:`)) && matches(flake.source),
      ),
  }
}

function matcher(patterns: readonly string[]): (text: string) => boolean {
  const tests = patterns.map(pattern => (pattern === '*' ? () => true : compileGlob(pattern)))
  return text => tests.some(test => test(text))
}

function imageReason(namespace: string, recipe: Recipe): string {
  const reason = `no rule for namespace ${quote(namespace)} allows image ${quote(recipe.image)}`
  if (isFlakeRecipe(recipe)) return reason
  return `${reason}; a store path needs a pattern that starts with ${quote(`${STORE_PATH_HOST}/`)}`
}

function flakeReason(namespace: string, { image, flake }: FlakeRecipe): string {
  const reason = `no rule for namespace ${quote(namespace)} and image ${quote(image)} allows flake ${quote(flake.source)}`
  return flake.local ? `${reason}; a local flake needs a pattern that starts with ${quote(`${flake.scheme}:`)}` : reason
}

function refused(recipe: Recipe, reason: string): FinalError {
  // Whoever reads it may have named the image alone.
  const doing = isFlakeRecipe(recipe)
    ? `building ${quote(recipe.image)} from ${quote(recipe.flake.source)}`
    : `realising ${quote(recipe.image)}`
  return new FinalError('PolicyRefused', `the node's policy does not allow ${doing}: ${reason}`)
}
