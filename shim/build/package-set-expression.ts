import { MAX_NAME_LENGTH, MAX_NAMES, nixString } from './lookup-expression.ts'
import { hintsExpression } from './package-hints.ts'
import { parsePackageName } from './package-name.ts'
import type { PackageSetRecipe } from './recipe.ts'

/** In every image, where the set has them: certificates of authorities, and names of ports. Source: Nixery. */
const ALWAYS = ['cacert', 'iana-etc']

/** A smaller set is reported whole when a name is missing. */
const SMALL = 12

/** A message that names the packages that are missing need not name more of them. */
const MAX_MISSING = 20

const UPPER = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ']

/**
 * A function of the flake's outputs, in the Nix language: the derivation of a folder in which the packages are united, by a builder
 * that is a part of nix. What two of them have is taken of the one with the lower `meta.priority`, then of the first one. A name is
 * found as it is, then with a `_` before its digit, then if it is the only one that differs in case alone.
 */
export function packageSetExpression({ contents, system }: PackageSetRecipe): string {
  const paths = contents.map(name => `[ ${parsePackageName(name).parts.map(nixString).join(' ')} ]`)
  return `outputs: let
  system = ${nixString(system)};
  contents = [ ${paths.join(' ')} ];
  sets = if outputs ? legacyPackages then outputs.legacyPackages else outputs.packages;
  set = sets.\${system};
  cut = text: builtins.substring 0 ${MAX_NAME_LENGTH} text;
  cutList = most: list: let
    count = builtins.length list;
  in builtins.genList (builtins.elemAt list) (if count > most then most else count);
  namesOf = set: if builtins.isAttrs set then builtins.attrNames set else [ ];
  reported = names: map cut (cutList ${MAX_NAMES} names);
  lower = builtins.replaceStrings [ ${UPPER.map(nixString).join(' ')} ] [ ${UPPER.map(letter => nixString(letter.toLowerCase())).join(' ')} ];
  isDerivation = value: builtins.isAttrs value && (value.type or null) == "derivation";
  spell = set: name: let
    isAlike = other: builtins.stringLength other == builtins.stringLength name && lower other == lower name;
    alike = builtins.filter isAlike (namesOf set);
  in
    if !builtins.isAttrs set || isDerivation set then null
    else if set ? \${name} then name
    else if builtins.match "[0-9].*" name != null && set ? \${"_" + name} then "_" + name
    else if builtins.length alike == 1 then builtins.head alike
    else null;
  near = set: name: let
    names = namesOf set;
    isNear = other: let
      more = builtins.stringLength other - builtins.stringLength name;
    in -3 < more && more < 3 && lower (builtins.substring 0 1 other) == lower (builtins.substring 0 1 name);
  in if isDerivation set then [ ] else if builtins.length names <= ${SMALL} then names else builtins.filter isNear names;
  find = path: let
    descend = set: rest: let
      name = builtins.head rest;
      found = spell set name;
    in
      if rest == [ ] then { value = set; inherit path; }
      else if found == null then { missing = { name = builtins.concatStringsSep "." path; part = name; near = reported (near set name); }; }
      else descend set.\${found} (builtins.tail rest);
  in descend set path;
  found = map find contents;
  missing = builtins.concatMap (each: if each ? missing then [ each.missing ] else [ ]) found;
  wrong = builtins.filter (each: !isDerivation each.value) found;
  always = builtins.concatMap (name: if set ? \${name} then [ { value = set.\${name}; } ] else [ ]) [ ${ALWAYS.map(nixString).join(' ')} ];
  priority = value: let
    tried = builtins.tryEval (value.meta.priority or null);
    given = if tried.success && builtins.isInt tried.value then tried.value else 5;
  in if given < -1000 then -1000 else if given > 1000 then 1000 else given;
  ranked = builtins.genList (index: let
    inherit (builtins.elemAt (found ++ always) index) value;
  in [ "true" (toString (priority value * 1000 + index)) "1" "\${value}" ]) (builtins.length (found ++ always));
  united = derivation {
    name = "package-set";
    system = "builtin";
    builder = "builtin:buildenv";
    preferLocalBuild = true;
    allowSubstitutes = false;
    derivations = builtins.concatLists ranked;
    manifest = "/dev/null";
  };
  only = (builtins.head found).value;
in
  if !(outputs ? legacyPackages || outputs ? packages) then { kind = "none"; outputs = reported (namesOf outputs); }
  else if !(sets ? \${system}) then { kind = "system"; systems = reported (namesOf sets); }
  else if missing != [ ] then { kind = "missing"; count = builtins.length missing; missing = cutList ${MAX_MISSING} missing; }
  else if wrong != [ ] then let
    first = builtins.head wrong;
  in { kind = "value"; name = builtins.concatStringsSep "." first.path; type = builtins.typeOf first.value; }
  else {
    kind = "derivation";
    drvPath = builtins.unsafeDiscardStringContext united.drvPath;
    output = "out";
    nixVersion = builtins.nixVersion;
    \${if builtins.length contents == 1 then "package" else null} = ${hintsExpression('only')} // { imageConfig = null; };
  }`
}
