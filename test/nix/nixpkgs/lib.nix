# nixpkgs' lib: what of it is used, with the same results.
let
  inherit (builtins) attrNames concatStringsSep elemAt filter fromJSON isString length listToAttrs mapAttrs match readFile split stringLength substring;
in
rec {
  inherit mapAttrs;
  genAttrs = names: value: listToAttrs (map (name: { inherit name; value = value name; }) names);
  filterAttrs = isWanted: set:
    listToAttrs (map (name: { inherit name; value = set.${name}; }) (filter (name: isWanted name set.${name}) (attrNames set)));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  last = list: elemAt list (length list - 1);

  concatStrings = concatStringsSep "";
  optionalString = condition: text: if condition then text else "";
  removePrefix = prefix: text:
    if substring 0 (stringLength prefix) text == prefix then substring (stringLength prefix) (-1) text else text;
  # None of the separators that are used means anything to a regular expression.
  splitString = separator: text: filter isString (split separator text);
  versionOlder = one: other: builtins.compareVersions one other < 0;

  importJSON = path: fromJSON (readFile path);
  makeBinPath = packages: concatStringsSep ":" (map (one: "${one}/bin") packages);
  getExe = package: "${package}/bin/${package.meta.mainProgram}";
  throwIf = condition: message: value: if condition then throw message else value;
  mkDefault = content: { _type = "override"; priority = 1000; inherit content; };

  sourceByRegex = top: patterns: builtins.path {
    name = "source";
    path = top;
    filter = path: _: builtins.any (pattern: match pattern (removePrefix "${toString top}/" path) != null) patterns;
  };

  licenses.asl20.spdxId = "Apache-2.0";
  platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
}
