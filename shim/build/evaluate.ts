import { closest } from 'fastest-levenshtein'
import * as v from 'valibot'
import { FinalError } from '../errors.ts'
import type { PackageHints } from './contract.ts'
import { hintsExpression, packageSchema, readHints } from './package-hints.ts'
import { parsePackageName } from './package-name.ts'
import type { FlakeRecipe } from './recipe.ts'

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

/** Names that nix tells of those that there are, and the length of each in bytes: the expression cuts them. */
const MAX_NAMES = 2000
const MAX_NAME_LENGTH = 100
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
  v.object({ kind: v.literal('missing'), name: v.string(), names }),
  v.object({ kind: v.literal('system'), systems: names }),
])

/** Arguments of nix that make it look for the package and tell what it found; no package is an answer, too. `url`: as nix is given it. */
export function evaluationArgs(recipe: FlakeRecipe, url = recipe.flake.url): string[] {
  return ['eval', '--json', `${url}#packages`, '--apply', lookupExpression(recipe)]
}

/** Throws AttributeMissing, SystemUnsupported, or EvaluationFailed when the text is no answer, or the hints are of no use. */
export function readEvaluation(recipe: FlakeRecipe, stdout: string): Derivation {
  const answer = parseAnswer(recipe, stdout)
  const { flake, packageName, system } = recipe
  switch (answer.kind) {
    case 'derivation':
      return withHints(recipe, answer)
    case 'system':
      throw new FinalError(
        'SystemUnsupported',
        `${flake.url} has no packages for ${system}, ${list('only for', answer.systems) || 'and for no other system'}`,
      )
    case 'missing':
      throw new FinalError(
        'AttributeMissing',
        `${flake.url} has no package ${packageName} for ${system}${suggest(answer.name, answer.names)}`,
      )
    case 'value':
      throw new FinalError(
        'AttributeMissing',
        `${packageName} of ${flake.url} for ${system} is no package but a ${answer.type}`,
      )
  }
}

/**
 * A function of the flake's `packages`. A package with a `.stream` is built as that: nixpkgs' buildLayeredImage has
 * one, and no compressed archive is made then. A name with dots is tried as one name first.
 */
function lookupExpression({ packageName, system }: FlakeRecipe): string {
  const { parts } = parsePackageName(packageName)
  return `packages: let
  system = ${nixString(system)};
  path = [ ${parts.map(nixString).join(' ')} ];
  flat = ${nixString(parts.join('.'))};
  namesOf = set: let
    names = builtins.attrNames set;
    count = builtins.length names;
    name = index: builtins.substring 0 ${MAX_NAME_LENGTH} (builtins.elemAt names index);
  in builtins.genList name (if count > ${MAX_NAMES} then ${MAX_NAMES} else count);
  isDerivation = value: builtins.isAttrs value && (value.type or null) == "derivation";
  answer = package: {
    kind = "derivation";
    drvPath = builtins.unsafeDiscardStringContext package.drvPath;
    output = package.outputName;
    nixVersion = builtins.nixVersion;
  };
  found = value:
    if !isDerivation value then { kind = "value"; type = builtins.typeOf value; }
    else if (builtins.tryEval (isDerivation (value.stream or null))).value then answer value.stream
    else answer value // { package = ${hintsExpression('value')}; };
  descend = set: path:
    if path == [ ] then found set
    else if builtins.isAttrs set && set ? \${builtins.head path}
    then descend set.\${builtins.head path} (builtins.tail path)
    else {
      kind = "missing";
      name = builtins.head path;
      names = if builtins.isAttrs set && !isDerivation set then namesOf set else [ ];
    };
in
  if !(packages ? \${system}) then { kind = "system"; systems = namesOf packages; }
  else if packages.\${system} ? \${flat} then found packages.\${system}.\${flat}
  else descend packages.\${system} path`
}

function withHints(recipe: FlakeRecipe, { package: said, ...derivation }: DerivationAnswer): Derivation {
  const hints = readHints(recipe, said)
  return hints ? { ...derivation, package: hints } : derivation
}

function nixString(text: string): string {
  return JSON.stringify(text).replaceAll('$', '\\$')
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
  return `; did you mean ${closest(name, [...names])}? There are ${names.length}: ${list('', names).trimStart()}`
}

function list(prefix: string, names: readonly string[]): string {
  if (names.length === 0) return ''
  const shown = names.slice(0, MAX_LISTED).join(', ')
  return `${prefix} ${shown}${names.length > MAX_LISTED ? ' …' : ''}`
}
