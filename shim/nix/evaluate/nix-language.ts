/** Limits of the names that our expressions report, per set and in bytes. Longer names and names that are not ASCII are left out. */
export const MAX_NAMES = 2000
export const MAX_NAME_LENGTH = 100

const UPPER = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ']

/**
 * Functions in the Nix language that our expressions share, as bindings of a `let`. `near` returns all names if there are at most
 * `most`, otherwise the similar ones. nixpkgs has more than 20,000 names, so they are sorted and grouped only once.
 */
export const SHARED_FUNCTIONS = `
  isDerivation = value: builtins.isAttrs value && (value.type or null) == "derivation";
  namesOf = set: if builtins.isAttrs set && !isDerivation set then builtins.attrNames set else [ ];
  cutList = most: list: builtins.genList (builtins.elemAt list) (if builtins.length list > most then most else builtins.length list);
  isShown = name: builtins.stringLength name <= ${MAX_NAME_LENGTH} && builtins.match "[ -~]*" name != null;
  reported = names: builtins.filter isShown (cutList ${MAX_NAMES} names);
  lower = builtins.replaceStrings ${nixList(UPPER)} ${nixList(UPPER.map(letter => letter.toLowerCase()))};
  startOf = text: lower (builtins.substring 0 2 text);
  endOf = text: let
    start = builtins.stringLength text - 2;
  in lower (builtins.substring (if start < 0 then 0 else start) 2 text);
  indexOf = set: rec {
    inherit set;
    names = namesOf set;
    folded = builtins.groupBy lower names;
    byStart = builtins.groupBy startOf names;
    byEnd = builtins.groupBy endOf names;
  };
  near = most: { names, byStart, byEnd, ... }: name: let
    length = builtins.stringLength name;
    isNear = other: let
      more = builtins.stringLength other - length;
    in (-3 < more && more < 3) || (more > 0 && builtins.substring 0 length other == name);
    likely = names: cutList most (builtins.filter isNear names);
  in reported (if builtins.length names <= most then names else likely (byStart.\${startOf name} or [ ]) ++ likely (byEnd.\${endOf name} or [ ]));`

/** A string of the Nix language. */
export function nixString(text: string): string {
  return JSON.stringify(text).replaceAll('$', '\\$')
}

/** A list of strings. */
export function nixList(texts: readonly string[]): string {
  return `[ ${texts.map(nixString).join(' ')} ]`
}
