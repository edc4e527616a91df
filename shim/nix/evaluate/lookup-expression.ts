import { parsePackageName } from '../../../recipes/package-name.ts'
import type { PackageRecipe } from '../../../recipes/recipe.ts'
import { MAX_NAMES, nixList, nixString, SHARED_FUNCTIONS } from './nix-language.ts'
import { hintsExpression } from './package-hints.ts'

/** All names of a smaller set are reported: those that are like one of a larger set are reported twice at most. */
const MAX_NEAR = MAX_NAMES / 2

/**
 * A function of the flake's outputs, in the Nix language. A package with a `.stream` is built as that: nixpkgs'
 * buildLayeredImage has one, and no compressed archive is made then.
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

/** As `nix build` does. What is the matter with `legacyPackages` does not matter to a flake with `packages`. */
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
