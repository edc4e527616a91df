import * as v from 'valibot'
import { quote } from '../../lib/text/quote.ts'
import type { SplitReference } from '../reference.ts'
import { capturePath, commonImage, covers, type NamePattern } from './name-pattern.ts'
import { type CompiledRule, compileRule, type NamedRecipe, type NameRule, RuleError } from './name-rule.ts'
import { createNameTable } from './name-table.ts'
import { DEFAULT_TAG } from './name-template.ts'

/** Schema of `names` in the config. Every mistake is reported under its key. */
export const nameRules = v.pipe(
  v.array(
    v.strictObject({
      images: v.pipe(
        v.string(),
        v.description(
          'Image names with their host; `{WORD}` captures one segment, and `{contents}` at the end captures the packages of a set.',
        ),
      ),
      flake: v.optional(v.pipe(v.string(), v.description('Flake URL, which may contain captures and `{tag}`.'))),
      package: v.optional(
        v.pipe(v.string(), v.description('Package of the flake, which may contain captures and `{tag}`.')),
      ),
      packages: v.optional(
        v.pipe(v.string(), v.description('Flake URL of a package set, instead of `flake` and `package`.')),
      ),
    }),
  ),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    const { value: input } = dataset
    for (const { index, key, message } of findMistakes(input)) {
      const value = input[index]
      if (value === undefined) continue
      addIssue({
        message,
        path: [
          { type: 'array', origin: 'value', input, key: index, value },
          { type: 'object', origin: 'value', input: { ...value }, key, value: value[key] },
        ],
      })
    }
  }),
)

export interface NameMistake {
  readonly index: number
  readonly key: keyof NameRule
  readonly message: string
}

/** All mistakes: in single rules, and between rules. */
export function findMistakes(rules: readonly NameRule[]): NameMistake[] {
  const mistakes: NameMistake[] = []
  const earlier: Place[] = []
  for (const [index, rule] of rules.entries()) {
    const compiled = tryCompile(rule)
    if ('key' in compiled) {
      mistakes.push({ index, ...compiled })
      continue
    }
    const message = findConflict(compiled.pattern, earlier)
    if (message !== undefined) mistakes.push({ index, key: 'images', message })
    earlier.push({ index, pattern: compiled.pattern })
  }
  return mistakes
}

/** The recipe of a name, by the first rule that matches. Throws RecipeInvalid. */
export type MatchName = (name: SplitReference) => NamedRecipe | undefined

/** The rules must be valid. `system` is the default for names that choose no system. */
export function createNameRules(rules: readonly NameRule[], system: string): MatchName {
  const find = createNameTable(rules.map(compileRule))
  return ({ domain, path, tag = DEFAULT_TAG }) => {
    const found = find({ domain, path, tag })
    if (found === undefined) return undefined
    const segments = path.split('/')
    return found.fill({
      captures: capturePath(found.pattern, segments),
      tag: tag === DEFAULT_TAG ? undefined : tag,
      rest: segments.slice(found.pattern.segments.length),
      system,
    })
  }
}

function tryCompile(rule: NameRule): CompiledRule | Pick<NameMistake, 'key' | 'message'> {
  try {
    return compileRule(rule)
  } catch (error) {
    if (error instanceof RuleError) return { key: error.key, message: error.message }
    throw error
  }
}

interface Place {
  readonly index: number
  readonly pattern: NamePattern
}

/** Why a rule conflicts with earlier ones; undefined if it does not. */
function findConflict(pattern: NamePattern, earlier: readonly Place[]): string | undefined {
  for (const { index, pattern: other } of earlier) {
    const common = commonImage(other, pattern)
    if (common === undefined || (covers(pattern, other) && !covers(other, pattern))) continue
    return covers(other, pattern)
      ? `never matches: names.${index}, ${quote(other.text)}, matches all of its images`
      : `ambiguous: ${common} matches this rule and names.${index}, ${quote(other.text)}, and neither rule covers the other`
  }
  return undefined
}
