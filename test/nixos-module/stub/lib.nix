# The part of nixpkgs' lib that the module uses. Add what is missing by looking it up there.
let
  inherit (builtins) any attrNames concatMap concatStringsSep elem filter foldl' isString mapAttrs removeAttrs replaceStrings stringLength;

  modules = import ./modules.nix lib;
  types = import ./types.nix (modules // { inherit filterAttrs; });

  last = list: builtins.elemAt list (builtins.length list - 1);
  splitString = separator: text: filter isString (builtins.split (builtins.replaceStrings [ "." ] [ "\\." ] separator) text);
  toInt = text: let value = builtins.fromJSON text; in if builtins.isInt value then value else throw "no integer: ${text}";
  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: list: if condition then list else [ ];
  optionalAttrs = condition: attrs: if condition then attrs else { };
  filterAttrs = isKept: attrs: removeAttrs attrs (filter (name: !isKept name attrs.${name}) (attrNames attrs));
  mapAttrsToList = call: attrs: map (name: call name attrs.${name}) (attrNames attrs);
  hasPrefix = prefix: text: builtins.substring 0 (stringLength prefix) text == prefix;
  hasSuffix = suffix: text:
    stringLength text >= stringLength suffix && builtins.substring (stringLength text - stringLength suffix) (-1) text == suffix;
  hasInfix = infix: text: builtins.length (splitAt infix text) > 1;
  splitAt = separator: text: filter isString (builtins.split (quoted separator) text);
  quoted = builtins.replaceStrings [ "." "[" "]" "/" ] [ "\\." "\\[" "\\]" "/" ];
  optionalString = condition: text: if condition then text else "";
  unique = foldl' (found: value: if elem value found then found else found ++ [ value ]) [ ];
  genAttrs = names: make: builtins.listToAttrs (map (name: { inherit name; value = make name; }) names);
  removePrefix = prefix: text: if hasPrefix prefix text then builtins.substring (stringLength prefix) (-1) text else text;
  getExe = package: "${package}/bin/${package.meta.mainProgram}";

  literalExpression = text: { _type = "literalExpression"; inherit text; };
  mkOption = option: { _type = "option"; } // option;
  mkEnableOption = what: mkOption {
    type = types.bool;
    default = false;
    example = true;
    description = "Whether to enable ${what}.";
  };
  mkPackageOption = pkgs: name: { }: mkOption {
    type = types.package;
    default = pkgs.${name};
    defaultText = literalExpression "pkgs.${name}";
    description = "The ${name} package to use.";
  };

  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;

  lib = {
    inherit any attrNames concatMap concatStringsSep elem filter foldl' isString mapAttrs removeAttrs replaceStrings stringLength;
    inherit last splitString toInt optional optionals optionalAttrs filterAttrs mapAttrsToList hasPrefix hasSuffix hasInfix removePrefix getExe;
    inherit optionalString unique genAttrs;
    inherit types literalExpression mkOption mkEnableOption mkPackageOption mkIf mkMerge mkOverride mkDefault mkForce;
    inherit (modules) evalModules;
  };
in
lib
