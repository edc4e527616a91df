# The options of the module and its submodules, ordered by name.
let
  lib = import ./stub/lib.nix;
  pkgs = import ./stub/pkgs.nix { inherit lib; };
  inherit (import ./stub/evaluate.nix { inherit lib pkgs; } { }) options;

  list = tree: lib.concatMap (name: if tree.${name}._type or "" == "option" then describe tree.${name} else list tree.${name}) (lib.attrNames tree);

  describe = option: [ (shown option) ] ++ list (below option.loc option.type);

  below = loc: type:
    if type ? module then
      (lib.evalModules { modules = [ type.module ]; prefix = loc; }).options
    else if type ? inner then
      below loc type.inner
    else
      { };

  shown = option: {
    name = lib.concatStringsSep "." option.loc;
    inherit (option) description;
    type = option.type.description;
    default = expression (option.defaultText or option.default);
  } // lib.optionalAttrs (option ? example) { example = expression option.example; };

  # A text may be any expression.
  expression = value: if value._type or "" == "literalExpression" then { inherit (value) text; } else { inherit value; };
in
list options.services.enbi-shim
