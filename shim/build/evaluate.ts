import { closest } from 'fastest-levenshtein'
import * as v from 'valibot'
import { FinalError } from '../errors.ts'
import type { PackageHints } from './contract.ts'
import { lookupExpression, MAX_NAME_LENGTH, MAX_NAMES } from './lookup-expression.ts'
import { packageSchema, readHints } from './package-hints.ts'
import type { FlakeRecipe } from './recipe.ts'
import { hostSystem } from './system.ts'
import { cleanText } from './text.ts'

/** A package that can be built. */
export interface Derivation {
  /** `/nix/store/<hash>-<name>.drv` */
  readonly drvPath: string
  /** The output that the package stands for. */
  readonly output: string
  /** The version of the Nix language's interpreter: `2.8.0`. */
  readonly nixVersion: string
  readonly package?: PackageHints
}

const names = v.pipe(v.array(v.pipe(v.string(), v.maxLength(MAX_NAME_LENGTH))), v.maxLength(MAX_NAMES))

const answerSchema = v.variant('kind', [
  v.object({
    kind: v.literal('derivation'),
    drvPath: v.pipe(v.string(), v.regex(/^\/nix\/store\/[0-9a-z]{32}-[A-Za-z0-9+._?=-]+\.drv$/)),
    output: v.pipe(v.string(), v.regex(/^[A-Za-z0-9+._?=-]+$/)),
    nixVersion: v.string(),
    package: v.optional(packageSchema),
  }),
  v.object({ kind: v.literal('value'), type: v.pipe(v.string(), v.maxLength(MAX_NAME_LENGTH)) }),
  v.object({ kind: v.literal('missing'), name: v.string(), names, outputs: names }),
  v.object({ kind: v.literal('system'), systems: names, outputs: names }),
  v.object({ kind: v.literal('none'), outputs: names }),
])

export interface FlakeAddress {
  /** As nix is given it. */
  readonly url: string
  /** Whether this nix reads a leading dot of an attribute path: no prefix is tried then. */
  readonly leadingDot: boolean
}

/** Arguments of nix that make it look for the package and tell what it found; no package is an answer, too. */
export function evaluationArgs(recipe: FlakeRecipe, { url, leadingDot }: FlakeAddress): string[] {
  return ['eval', '--json', ...(leadingDot ? [`${url}#.`] : withoutDot(url)), '--apply', lookupExpression(recipe)]
}

/** Arguments of nix that fetch a flake and all of its inputs, and evaluate none of them. */
export function fetchAllArgs(url: string): string[] {
  return ['flake', 'archive', url]
}

/**
 * All outputs of a flake, without a leading dot. An empty attribute name at the end of a path is no part of it. Prefixes are tried
 * first: `packages.SYSTEM` and `legacyPackages.SYSTEM`, which is why the system is none that a flake has. What is built during
 * evaluation is still for the machine's own.
 */
function withoutDot(url: string): string[] {
  return [`${url}#""`, '--option', 'system', 'none', '--option', 'extra-extra-platforms', hostSystem()]
}

/** Throws AttributeMissing, SystemUnsupported, or EvaluationFailed when the text is no answer, or the hints are of no use. */
export function readEvaluation(recipe: FlakeRecipe, stdout: string): Derivation {
  const answer = parseAnswer(recipe, stdout)
  const { flake, packageName, system } = recipe
  switch (answer.kind) {
    case 'derivation':
      return withHints(recipe, answer)
    case 'none':
      throw new FinalError(
        'AttributeMissing',
        `${flake.url} has no packages.${system}.${packageName}, and no packages at all: ${list('its outputs are', answer.outputs) || 'it has no outputs'}`,
      )
    case 'system':
      throw new FinalError(
        'SystemUnsupported',
        `${flake.url} has no packages for ${system}, ${list('only for', answer.systems) || 'and for no other system'}${elsewhere(system, answer.outputs)}`,
      )
    case 'missing':
      throw new FinalError(
        'AttributeMissing',
        `${flake.url} has no package ${packageName} for ${system}${suggest(answer.name, answer.names)}${elsewhere(system, answer.outputs)}`,
      )
    case 'value':
      throw new FinalError(
        'AttributeMissing',
        `${packageName} of ${flake.url} for ${system} is no package but a ${answer.type}`,
      )
  }
}

function withHints(recipe: FlakeRecipe, { package: said, ...derivation }: DerivationAnswer): Derivation {
  const hints = readHints(recipe, said)
  return hints ? { ...derivation, package: hints } : derivation
}

type Answer = v.InferOutput<typeof answerSchema>
type DerivationAnswer = Extract<Answer, { kind: 'derivation' }>

function parseAnswer({ flake, packageName }: FlakeRecipe, stdout: string): Answer {
  try {
    return v.parse(answerSchema, JSON.parse(stdout))
  } catch {
    // What is wrong with the answer would keep all of it.
    throw new FinalError('EvaluationFailed', `nix gave no answer that makes sense about ${packageName} of ${flake.url}`)
  }
}

/** An error message shows this many of a flake's names. */
const MAX_LISTED = 12

function suggest(name: string, names: readonly string[]): string {
  if (names.length === 0) return ''
  if (names.length <= MAX_LISTED) return `, ${list('only', names)}`
  return `; did you mean ${showName(closest(name, [...names]))}? There are ${names.length}: ${list('', names).trimStart()}`
}

function elsewhere(system: string, outputs: readonly string[]): string {
  const others = outputs.filter(name => name !== 'packages')
  return list(`; the shim looks in packages.${system}, and not in the other outputs:`, others)
}

function list(prefix: string, names: readonly string[]): string {
  if (names.length === 0) return ''
  const shown = names.slice(0, MAX_LISTED).map(showName).join(', ')
  return `${prefix} ${shown}${names.length > MAX_LISTED ? ' …' : ''}`
}

/** A flake names its attributes as it likes. */
function showName(name: string): string {
  return cleanText(name).replace(/\s/g, ' ')
}
