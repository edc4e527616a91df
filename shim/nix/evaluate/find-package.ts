import * as v from 'valibot'
import { FinalError } from '../../../lib/errors.ts'
import { parsePackageName } from '../../../recipes/package-name.ts'
import type { PackageRecipe } from '../../../recipes/recipe.ts'
import {
  type Derivation,
  derivationSchema,
  hintsExpression,
  nameSchema,
  namesSchema,
  parseAnswer,
  toDerivation,
} from './derivation.ts'
import { MAX_NAMES, nixList, nixString, SHARED_FUNCTIONS } from './nix-language.ts'
import { listNames, MAX_LISTED, nearestNames, showName } from './show-names.ts'

/** Sets up to this size are reported in full. A similar name of a larger set appears at most twice. */
const MAX_NEAR = MAX_NAMES / 2

/**
 * A function in the Nix language that finds the package in the flake's outputs. If the package has a `.stream`, that is built instead:
 * buildLayeredImage of nixpkgs has one, and building it creates no compressed archive.
 */
export function lookupExpression({ packageName, system }: PackageRecipe): string {
  const { parts, isFull } = parsePackageName(packageName)
  return `outputs: let
  system = ${nixString(system)};
  path = ${nixList(parts)};
  flat = ${nixString(parts.join('.'))};${SHARED_FUNCTIONS}
  answer = package: {
    kind = "derivation";
    drvPath = builtins.unsafeDiscardStringContext package.drvPath;
    output = package.outputName;
    nixVersion = builtins.nixVersion;
    system = if builtins.isString (package.system or null) && isShown package.system then package.system else null;
  };
  found = value:
    if !isDerivation value then { kind = "value"; type = builtins.typeOf value; }
    else if (builtins.tryEval (isDerivation (value.stream or null))).value then answer value.stream
    else answer value // { package = ${hintsExpression('value')}; };
  descend = set: rest: let
    name = builtins.head rest;
    index = indexOf set;
  in
    if rest == [ ] then { value = set; }
    else if set ? \${name} then descend set.\${name} (builtins.tail rest)
    else { inherit name; left = builtins.length rest; count = builtins.length index.names; near = near ${MAX_NEAR} index name; };
  missing = tries: let
    sum = builtins.foldl' builtins.add 0;
    least = builtins.foldl' (least: { left, ... }: if left < least then left else least) (builtins.length path) tries;
    deepest = builtins.filter ({ left, ... }: left == least) tries;
  in {
    kind = "missing";
    inherit (builtins.head deepest) name;
    count = sum (map ({ count, ... }: count) deepest);
    names = cutList ${MAX_NAMES} (builtins.concatMap ({ near, ... }: near) deepest);
    outputs = reported (namesOf outputs);
  };
${isFull ? FULL_PATH : BELOW_PACKAGES}`
}

const FULL_PATH = `  looked = descend outputs path;
in if looked ? value then found looked.value else missing [ looked ]`

/** Looks where `nix build` looks. Errors of `legacyPackages` are ignored if the flake has `packages`. */
const BELOW_PACKAGES = `  has = output: outputs ? \${output} && outputs.\${output} ? \${system};
  hasLegacy =
    if outputs ? packages then (builtins.tryEval (has "legacyPackages" && builtins.isAttrs outputs.legacyPackages.\${system})).value
    else has "legacyPackages";
  look = output: let
    set = outputs.\${output}.\${system};
  in [ (if set ? \${flat} then { value = set.\${flat}; } else descend set path) ];
  inPackages = if has "packages" then look "packages" else [ ];
  inLegacy = if hasLegacy then look "legacyPackages" else [ ];
  isIn = tries: tries != [ ] && builtins.head tries ? value;
  systemsOf = output: let tried = builtins.tryEval (namesOf (outputs.\${output} or { })); in if tried.success then tried.value else [ ];
in
  if isIn inPackages then found (builtins.head inPackages).value
  else if isIn inLegacy then found (builtins.head inLegacy).value
  else if inPackages ++ inLegacy != [ ] then missing (inPackages ++ inLegacy)
  else if !(outputs ? packages || outputs ? legacyPackages) then { kind = "none"; outputs = reported (namesOf outputs); }
  else { kind = "system"; systems = reported (systemsOf "packages" ++ systemsOf "legacyPackages"); outputs = reported (namesOf outputs); }`

const missingSchema = v.object({
  kind: v.literal('missing'),
  /** The part of the path that was not found. */
  name: v.string(),
  /** Number of names at that level, and all of them, or those that are similar. */
  count: v.number(),
  names: namesSchema,
  outputs: namesSchema,
})

const answerSchema = v.variant('kind', [
  derivationSchema,
  v.object({ kind: v.literal('value'), type: nameSchema }),
  missingSchema,
  v.object({ kind: v.literal('system'), systems: namesSchema, outputs: namesSchema }),
  v.object({ kind: v.literal('none'), outputs: namesSchema }),
])

/** Throws AttributeMissing, SystemUnsupported, or EvaluationFailed if the answer or its hints are invalid. */
export function readPackage(recipe: PackageRecipe, stdout: string): Derivation {
  const answer = parseAnswer(recipe, answerSchema, stdout)
  const { flake, packageName, system } = recipe
  switch (answer.kind) {
    case 'derivation':
      if (isFull(recipe)) checkSystem(recipe, answer.system ?? undefined)
      return toDerivation(recipe, answer)
    case 'none':
      throw new FinalError(
        'AttributeMissing',
        `${flake.url} has no package ${packageName} for ${system}, and neither packages nor legacyPackages${elsewhere(recipe, answer.outputs) || ': it has no outputs'}`,
      )
    case 'system':
      throw new FinalError(
        'SystemUnsupported',
        `${flake.url} has no packages for ${system}, ${listNames('only for', [...new Set(answer.systems)].sort()) || 'and for no other system'}${elsewhere(recipe, answer.outputs)}`,
      )
    case 'missing':
      throw new FinalError('AttributeMissing', explainMissing(recipe, answer))
    case 'value':
      throw new FinalError(
        'AttributeMissing',
        `${packageName} of ${flake.url}${isFull(recipe) ? '' : ` for ${system}`} is not a package but a ${answer.type}`,
      )
  }
}

/** A full path can lead to a package for any system, but the image is for the recipe's system. */
function checkSystem({ flake, packageName, system }: PackageRecipe, itsSystem: string | undefined): void {
  if (itsSystem === undefined || [system, BUILTIN, ALSO_RUN[system]].includes(itsSystem)) return
  throw new FinalError(
    'SystemUnsupported',
    `${packageName} of ${flake.url} is a package for ${showName(itsSystem)}, but the recipe is for ${system}`,
  )
}

/** System of the builders that are part of nix. */
const BUILTIN = 'builtin'

/** Systems that also run, and let nix build, the programs of another one. */
const ALSO_RUN: Readonly<Partial<Record<string, string>>> = { 'x86_64-linux': 'i686-linux' }

function explainMissing(recipe: PackageRecipe, answer: v.InferOutput<typeof missingSchema>): string {
  const { flake, packageName, system } = recipe
  const lacks = isFull(recipe) ? `has no output ${packageName}` : `has no package ${packageName} for ${system}`
  return `${flake.url} ${lacks}${suggest(answer)}${elsewhere(recipe, answer.outputs)}`
}

function suggest({ name, count, names }: v.InferOutput<typeof missingSchema>): string {
  if (count === 0) return ''
  if (count === names.length && count <= MAX_LISTED) return `, ${listNames('only', names)}`
  const [meant] = nearestNames(name, names)
  const listed = count === names.length ? `: ${listNames('', names).trimStart()}` : ''
  return meant === undefined
    ? `; there are ${count}${listed}`
    : `; did you mean ${showName(meant)}? There are ${count}${listed}`
}

function elsewhere(recipe: PackageRecipe, outputs: readonly string[]): string {
  if (isFull(recipe)) return listNames('; the outputs of the flake are', outputs)
  const others = outputs.filter(name => !SEARCHED.includes(name))
  return listNames('; a path that begins with a dot is looked up in its other outputs:', others)
}

const SEARCHED = ['packages', 'legacyPackages']

function isFull({ packageName }: PackageRecipe): boolean {
  return parsePackageName(packageName).isFull
}
