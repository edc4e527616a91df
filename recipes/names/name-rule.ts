import { FinalError } from '../../lib/errors.ts'
import { quote } from '../../lib/text/quote.ts'
import { parseContents } from '../contents.ts'
import { GrammarError } from '../grammar.ts'
import type { PackageRecipe, PackageSetRecipe } from '../recipe.ts'
import { capturesOf, type NamePattern, parseNamePattern, REST_CAPTURE } from './name-pattern.ts'
import {
  compileFlake,
  compilePackage,
  DEFAULT_TAG,
  type NameValues,
  TAG_CAPTURE,
  type Template,
} from './name-template.ts'

/** Maps image names to recipes: of a package (`flake` and `package`), or of a package set (`packages`). */
export interface NameRule {
  /**
   * `registry.example/team/{name}`: `{name}` matches any one segment. A tag after it is the only one that matches;
   * `{tag}` matches any. `nix.local/pkgs/{contents}`: each further segment is a package of the set, or a meta-package.
   */
  readonly images: string
  /** Such as `git+https://git.example/team/{name}?ref={tag}`. */
  readonly flake?: string | undefined
  /** Such as `{name}` or `images.{name}`. */
  readonly package?: string | undefined
  /** Flake of a package set, such as `github:NixOS/nixpkgs/nixos-25.05`. */
  readonly packages?: string | undefined
}

/** The recipe that a name stands for, without the image. */
export type NamedRecipe = Omit<PackageRecipe, 'image'> | Omit<PackageSetRecipe, 'image'>

export interface CompiledRule {
  readonly pattern: NamePattern
  /** Throws RecipeInvalid. */
  readonly fill: (values: RuleValues) => NamedRecipe
}

export interface RuleValues extends NameValues {
  /** Segments that `{contents}` matched. */
  readonly rest: readonly string[]
  readonly system: string
}

/** An invalid rule; `key` is at fault. */
export class RuleError extends Error {
  readonly key: keyof NameRule
  constructor(key: keyof NameRule, message: string) {
    super(message)
    this.key = key
  }
}

/** Throws RuleError. */
export function compileRule(rule: NameRule): CompiledRule {
  const pattern = inKey('images', () => parseNamePattern(rule.images))
  return rule.packages === undefined ? compilePackageRule(pattern, rule) : compileSetRule(pattern, rule, rule.packages)
}

function compilePackageRule(pattern: NamePattern, rule: NameRule): CompiledRule {
  if (rule.flake === undefined) throw new RuleError('flake', 'missing (optional only in a rule with packages)')
  if (rule.package === undefined) throw new RuleError('package', 'missing (optional only in a rule with packages)')
  if (pattern.hasRest)
    throw new RuleError('images', `{${REST_CAPTURE}} needs a package set: use packages instead of flake`)
  const { flake: flakeText, package: packageText } = rule
  const known = [...capturesOf(pattern), TAG_CAPTURE]
  const packageName = inKey('package', () => compilePackage(packageText, { known }))
  const tagIsRef = pattern.tag === undefined && !packageName.used.has(TAG_CAPTURE)
  const flake = inKey('flake', () => compileFlake(flakeText, { known, tagIsRef }))
  const check = checkUse(pattern, flakeText, [flake, packageName])
  return {
    pattern,
    fill(values) {
      check(values)
      return { flake: flake.fill(values), packageName: packageName.fill(values), system: values.system }
    },
  }
}

function compileSetRule(pattern: NamePattern, rule: NameRule, packages: string): CompiledRule {
  if (rule.flake !== undefined || rule.package !== undefined)
    throw new RuleError('packages', 'a rule has either packages, or flake and package')
  if (!pattern.hasRest) throw new RuleError('images', `a rule with packages must end in {${REST_CAPTURE}}`)
  const known = [...capturesOf(pattern), TAG_CAPTURE]
  const flake = inKey('packages', () => compileFlake(packages, { known, tagIsRef: pattern.tag === undefined }))
  const check = checkUse(pattern, packages, [flake])
  return {
    pattern,
    fill(values) {
      check(values)
      return { flake: flake.fill(values), ...parseContents(values.rest, values.system) }
    },
  }
}

/**
 * Throws RuleError for an unused capture. The returned function throws RecipeInvalid for a tag that the rule does not
 * use.
 */
function checkUse(
  pattern: NamePattern,
  flake: string,
  templates: readonly Pick<Template<unknown>, 'used'>[],
): (values: NameValues) => void {
  const used = new Set(templates.flatMap(template => [...template.used]))
  const idle = capturesOf(pattern).find(name => !used.has(name))
  if (idle !== undefined)
    throw new RuleError(
      'images',
      pattern.hasRest ? `{${idle}} is not used in packages` : `{${idle}} is used in neither flake nor package`,
    )
  const takesTag = pattern.tag !== undefined || used.has(TAG_CAPTURE)
  return ({ tag }) => {
    if (tag !== undefined && !takesTag)
      throw new FinalError(
        'RecipeInvalid',
        `${quote(flake)} already has a ref or revision, or cannot have one: only the tag ${DEFAULT_TAG} is allowed`,
      )
  }
}

function inKey<T>(key: keyof NameRule, compile: () => T): T {
  try {
    return compile()
  } catch (error) {
    if (error instanceof GrammarError || error instanceof FinalError) throw new RuleError(key, error.message)
    throw error
  }
}
