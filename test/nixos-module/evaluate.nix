# Evaluates the module in each of the given configurations, named by file names without their ending in a folder of them.
{ cases }:
let
  lib = import ./stub/lib.nix;
  pkgs = import ./stub/pkgs.nix { inherit lib; };

  evaluate = module:
    let
      inherit (lib.evalModules {
        modules = [ ./stub/nixos.nix ../../nixos-module module ];
        specialArgs = { inherit pkgs; };
      }) config;
    in
    {
      inherit (config) warnings;
      assertions = map ({ message, ... }: message) (lib.filter ({ assertion, ... }: !assertion) config.assertions);
    };
in
lib.mapAttrs (_: evaluate) cases
