import { hintsExpression } from './package-hints.ts'
import { parsePackageName } from './package-name.ts'
import type { PackageRecipe } from './recipe.ts'

/** Most names of one set that nix reports, and the longest of each in bytes: the expression cuts them. */
export const MAX_NAMES = 2000
export const MAX_NAME_LENGTH = 100

/**
 * A function of the flake's outputs, in the Nix language. A package with a `.stream` is built as that: nixpkgs'
 * buildLayeredImage has one, and no compressed archive is made then. A name with dots is tried as one name first.
 */
export function lookupExpression({ packageName, system }: PackageRecipe): string {
  const { parts } = parsePackageName(packageName)
  return `outputs: let
  system = ${nixString(system)};
  path = [ ${parts.map(nixString).join(' ')} ];
  flat = ${nixString(parts.join('.'))};
  packages = outputs.packages;
  namesOf = set: let
    names = if builtins.isAttrs set then builtins.attrNames set else [ ];
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
  missing = name: names: { kind = "missing"; outputs = namesOf outputs; inherit name names; };
  descend = set: path:
    if path == [ ] then found set
    else if set ? \${builtins.head path}
    then descend set.\${builtins.head path} (builtins.tail path)
    else missing (builtins.head path) (if isDerivation set then [ ] else namesOf set);
in
  if !(outputs ? packages) then { kind = "none"; outputs = namesOf outputs; }
  else if !(packages ? \${system}) then { kind = "system"; outputs = namesOf outputs; systems = namesOf packages; }
  else if packages.\${system} ? \${flat} then found packages.\${system}.\${flat}
  else descend packages.\${system} path`
}

/** A string of the Nix language. */
export function nixString(text: string): string {
  return JSON.stringify(text).replaceAll('$', '\\$')
}
