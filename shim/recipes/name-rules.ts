import { GrammarError } from '../build/grammar.ts'
import type { PackageRecipe } from '../build/recipe.ts'
import { FinalError } from '../errors.ts'
import { quote } from '../quote.ts'
import type { SplitReference } from '../reference.ts'
import { capturesOf, commonImage, covers, matchPath, type NamePattern, parseNamePattern } from './name-pattern.ts'
import { compileFlake, compilePackage, DEFAULT_TAG, type NameValues, TAG_CAPTURE } from './name-template.ts'

/** Which image names are recipes, and of what. */
export interface NameRule {
  /** `registry.example/team/{name}`: `{name}` is any one segment; a tag after it is the only one, or `{tag}`, which is any. */
  readonly images: string
  /** `git+https://git.example/team/{name}?ref={tag}`. */
  readonly flake: string
  /** `{name}`, `images.{name}`. */
  readonly package: string
}

export interface NameMistake {
  readonly index: number
  readonly key: keyof NameRule
  readonly message: string
}

/** What is wrong with rules: one alone, or one beside another. */
export function findMistakes(rules: readonly NameRule[]): NameMistake[] {
  const mistakes: NameMistake[] = []
  const earlier: Place[] = []
  for (const [index, rule] of rules.entries()) {
    const compiled = attempt(rule)
    if ('key' in compiled) {
      mistakes.push({ index, ...compiled })
      continue
    }
    const message = clash(compiled.pattern, earlier)
    if (message !== undefined) mistakes.push({ index, key: 'images', message })
    earlier.push({ index, pattern: compiled.pattern })
  }
  return mistakes
}

/** The recipe that a name is by these rules, of which the first that matches counts. Throws RecipeInvalid. */
export type MatchName = (name: SplitReference) => Pick<PackageRecipe, 'flake' | 'packageName'> | undefined

/** Rules must be without mistakes. */
export function createNameRules(rules: readonly NameRule[]): MatchName {
  const places = Map.groupBy(rules.map(compileRule), ({ pattern: { host, segments } }) => {
    const [first] = segments
    return placeOf(host, segments.length, first && 'literal' in first ? first.literal : undefined)
  })
  return ({ domain, path, tag = DEFAULT_TAG }) => {
    const segments = path.split('/')
    // Of two rules for one image, the one that spells more out is the first.
    for (const first of [segments[0], undefined]) {
      for (const { pattern, fill } of places.get(placeOf(domain, segments.length, first)) ?? []) {
        const captures = matchPath(pattern, segments, tag)
        if (captures) return fill({ captures, tag: tag === DEFAULT_TAG ? undefined : tag })
      }
    }
    return undefined
  }
}

interface CompiledRule {
  readonly pattern: NamePattern
  /** Throws RecipeInvalid. */
  readonly fill: (values: NameValues) => Pick<PackageRecipe, 'flake' | 'packageName'>
}

/** The key that a mistake is in. */
class RuleError extends Error {
  readonly key: keyof NameRule
  constructor(key: keyof NameRule, message: string) {
    super(message)
    this.key = key
  }
}

function attempt(rule: NameRule): CompiledRule | Pick<NameMistake, 'key' | 'message'> {
  try {
    return compileRule(rule)
  } catch (error) {
    if (error instanceof RuleError) return { key: error.key, message: error.message }
    throw error
  }
}

function compileRule(rule: NameRule): CompiledRule {
  const pattern = inKey('images', () => parseNamePattern(rule.images))
  const captures = capturesOf(pattern)
  const known = [...captures, TAG_CAPTURE]
  const packageName = inKey('package', () => compilePackage(rule.package, { known }))
  const tagIsRef = pattern.tag === undefined && !packageName.used.has(TAG_CAPTURE)
  const flake = inKey('flake', () => compileFlake(rule.flake, { known, tagIsRef }))
  const used = new Set([...flake.used, ...packageName.used])
  const idle = captures.find(name => !used.has(name))
  if (idle !== undefined) throw new RuleError('images', `{${idle}} is used in neither flake nor package`)
  const takesTag = pattern.tag !== undefined || used.has(TAG_CAPTURE)
  return {
    pattern,
    fill(values) {
      if (values.tag !== undefined && !takesTag)
        throw new FinalError(
          'RecipeInvalid',
          `${quote(rule.flake)} pins its revision or takes none: only the tag ${DEFAULT_TAG} names it`,
        )
      return { flake: flake.fill(values), packageName: packageName.fill(values) }
    },
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

interface Place {
  readonly index: number
  readonly pattern: NamePattern
}

/** Why a rule cannot stand after these. */
function clash(pattern: NamePattern, earlier: readonly Place[]): string | undefined {
  for (const { index, pattern: other } of earlier) {
    const common = commonImage(other, pattern)
    if (common === undefined || (covers(pattern, other) && !covers(other, pattern))) continue
    return covers(other, pattern)
      ? `never matches: names.${index}, ${quote(other.text)}, takes each of its images`
      : `ambiguous: ${common} is for this rule and for names.${index}, ${quote(other.text)}, and neither has all images of the other`
  }
  return undefined
}

/** Where a rule is looked up: by its host, its number of segments and the first of these, unless that is captured. */
function placeOf(host: string, segments: number, first: string | undefined): string {
  return `${segments} ${host}/${first ?? ''}`
}
