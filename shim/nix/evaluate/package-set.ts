import * as v from 'valibot'
import { FinalError } from '../../../lib/errors.ts'
import { parseNameInSet } from '../../../recipes/package-name.ts'
import type { PackageSetRecipe } from '../../../recipes/recipe.ts'
import {
  type Derivation,
  derivationSchema,
  hintsExpression,
  nameSchema,
  namesSchema,
  parseAnswer,
  toDerivation,
} from './derivation.ts'
import { nixList, nixString, SHARED_FUNCTIONS } from './nix-language.ts'
import { listNames, nearestNames, showName } from './show-names.ts'

/** Part of every image if the set has them: CA certificates and port names. Source: Nixery. */
const ALWAYS = ['cacert', 'iana-etc']

/** Missing packages that an error message names, and similar names to choose suggestions from. */
const MAX_MISSING = 20
const MAX_NEAR = 500

/**
 * Most outputs of one package. `builtin:buildenv` ranks propagated packages from 1000 on; 128 names and ALWAYS, with 7 outputs each,
 * stay below that.
 */
const MAX_OUTPUTS = 7

/**
 * A function in the Nix language that makes a derivation from the flake's outputs: a folder that unites the packages, built by a
 * builder that is part of nix. A name matches exactly, or with a `_` before its leading digit, or if it is the only one that differs
 * in case. A path leads through sets, and from a package to its outputs. If two packages have the same file, the lower `meta.priority`
 * wins, then the alphabetical order: each output has its own rank.
 */
export function packageSetExpression({ contents, system }: PackageSetRecipe): string {
  const paths = contents.map(name => nixList(parseNameInSet(name).parts))
  return `outputs: let
  system = ${nixString(system)};
  contents = [ ${paths.join(' ')} ];${SHARED_FUNCTIONS}
  has = output: outputs ? \${output} && outputs.\${output} ? \${system};
  set = outputs.\${if has "legacyPackages" then "legacyPackages" else "packages"}.\${system};
  spell = { set, folded, ... }: name: let
    spellings = [ name ] ++ (if builtins.match "[0-9].*" name == null then [ ] else [ "_\${name}" ]);
    exact = builtins.filter (spelling: set ? \${spelling}) spellings;
    alike = builtins.concatMap (spelling: folded.\${lower spelling} or [ ]) spellings;
  in
    if exact != [ ] then builtins.head exact
    else if builtins.length alike == 1 then builtins.head alike
    else null;
  # Only the outputs of a derivation: its stdenv, tests and so on are not packages of the set.
  reachableIn = value: let
    outputs = builtins.filter (name: value ? \${name}) (value.outputs or [ "out" ]);
  in
    if isDerivation value then builtins.listToAttrs (map (name: { inherit name; value = value.\${name}; }) outputs)
    else value;
  joined = builtins.concatStringsSep ".";
  find = path: let
    descend = index: rest: spelled: let
      name = builtins.head rest;
      others = builtins.tail rest;
      as = spell index name;
      next = index.set.\${as};
      missing = { name = joined path; part = name; near = near ${MAX_NEAR} index name; };
    in
      if as == null then { inherit missing; }
      else if others == [ ] then { path = spelled ++ [ as ]; value = next; }
      else descend (indexOf (reachableIn next)) others (spelled ++ [ as ]);
  in descend top path [ ];
  top = indexOf set;
  looked = map find contents;
  missing = builtins.concatMap (each: if each ? missing then [ each.missing ] else [ ]) looked;
  wrong = builtins.filter (each: !isPackage each.value) looked;

  always = builtins.concatMap (name: let
    isThere = builtins.tryEval (isPackage (set.\${name} or null));
  in if isThere.value then [ { path = [ name ]; value = set.\${name}; } ] else [ ]) ${nixList(ALWAYS)};
  byPath = builtins.listToAttrs (map ({ path, value }: { name = builtins.toJSON path; inherit value; }) (looked ++ always));
  packages = builtins.attrValues byPath;

  # The attributes of meta may throw, or have any type.
  metaOf = value: name: fits: default: let
    tried = builtins.tryEval (let meta = value.meta.\${name} or default; in if fits meta then meta else default);
  in if tried.success then tried.value else default;
  priorityOf = value: metaOf value "priority" builtins.isInt 5;
  outputsOf = value: let
    isOutput = name: builtins.isString name && isDerivation (value.\${name} or null);
    areOutputs = names: builtins.isList names && builtins.length names <= ${MAX_OUTPUTS} && builtins.all isOutput names;
    wanted = metaOf value "outputsToInstall" areOutputs [ ];
  in if wanted == [ ] || value.outputSpecified or false then [ value ] else map (name: value.\${name}) wanted;
  # The arguments of the builder are separated by spaces. A content-addressed derivation has a placeholder, as its path is not known yet.
  isPlace = path: builtins.isString path && builtins.match "/nix/store/[^[:space:]]+|/[0-9a-z]{52}" path != null;
  isPackage = value: isDerivation value && builtins.all (output: isPlace output.outPath) (outputsOf value);
  byPriority = builtins.sort (one: other: priorityOf one < priorityOf other) packages;
  outputPaths = map (output: output.outPath) (builtins.concatMap outputsOf byPriority);
  entryOf = rank: [ "true" rank 1 (builtins.elemAt outputPaths rank) ];
  united = derivation {
    name = "package-set";
    system = "builtin";
    builder = "builtin:buildenv";
    preferLocalBuild = true;
    allowSubstitutes = false;
    derivations = builtins.concatLists (builtins.genList entryOf (builtins.length outputPaths));
    manifest = "/dev/null";
  };
  only = (builtins.head looked).value;
in
  if !(outputs ? legacyPackages || outputs ? packages) then { kind = "none"; outputs = reported (namesOf outputs); }
  else if !(has "legacyPackages" || has "packages") then {
    kind = "system";
    systems = reported (namesOf (outputs.legacyPackages or { }) ++ namesOf (outputs.packages or { }));
  }
  else if missing != [ ] then { kind = "missing"; count = builtins.length missing; missing = cutList ${MAX_MISSING} missing; }
  else if wrong != [ ] then { kind = "value"; name = joined (builtins.head wrong).path; type = builtins.typeOf (builtins.head wrong).value; }
  else {
    kind = "derivation";
    drvPath = builtins.unsafeDiscardStringContext united.drvPath;
    output = "out";
    nixVersion = builtins.nixVersion;
    \${if builtins.length contents == 1 then "package" else null} = ${hintsExpression('only')} // { imageConfig = null; };
  }`
}

const missingSchema = v.object({ name: v.string(), part: v.string(), near: namesSchema })

const answerSchema = v.variant('kind', [
  derivationSchema,
  v.object({ kind: v.literal('value'), name: v.string(), type: nameSchema }),
  v.object({ kind: v.literal('missing'), count: v.number(), missing: v.array(missingSchema) }),
  v.object({ kind: v.literal('system'), systems: namesSchema }),
  v.object({ kind: v.literal('none'), outputs: namesSchema }),
])

/** Throws AttributeMissing, which names the missing packages, SystemUnsupported, or EvaluationFailed if the answer is invalid. */
export function readPackageSet(recipe: PackageSetRecipe, stdout: string): Derivation {
  const answer = parseAnswer(recipe, answerSchema, stdout)
  const { flake, system } = recipe
  switch (answer.kind) {
    case 'derivation':
      return toDerivation(recipe, answer)
    case 'none':
      throw new FinalError(
        'AttributeMissing',
        `${flake.url} is not a package set: it has neither legacyPackages nor packages, ${listNames('its outputs are', answer.outputs) || 'and no outputs'}`,
      )
    case 'system':
      throw new FinalError(
        'SystemUnsupported',
        `${flake.url} has no packages for ${system}, ${listNames('only for', [...new Set(answer.systems)]) || 'and for no other system'}`,
      )
    case 'missing': {
      const named = answer.missing.map(({ name, ...found }) => `${name}${suggest(found)}`).join(', ')
      const more = answer.count > answer.missing.length ? ` and ${answer.count - answer.missing.length} more` : ''
      const what = answer.count === 1 ? 'no package' : 'none of the packages'
      throw new FinalError('AttributeMissing', `${flake.url} has ${what} ${named}${more} for ${system}`)
    }
    case 'value':
      throw new FinalError(
        'AttributeMissing',
        `${showName(answer.name)} of ${flake.url} for ${system} is not a package but a ${answer.type}`,
      )
  }
}

function suggest({ part, near }: Pick<v.InferOutput<typeof missingSchema>, 'part' | 'near'>): string {
  const meant = nearestNames(part, near)
  return meant.length === 0 ? '' : ` (did you mean ${meant.slice(0, MAX_MEANT).map(showName).join(' or ')}?)`
}

/** Most suggestions for one name. */
const MAX_MEANT = 3
