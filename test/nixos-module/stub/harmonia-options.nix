{ lib }:
let
  inherit (lib) mkEnableOption mkOption types;
in
{
  enable = mkEnableOption "harmonia";
  signKeyPaths = mkOption { type = types.listOf types.str; default = [ ]; };
  settings = mkOption { type = types.attrsOf types.unspecified; default = { }; };
}
