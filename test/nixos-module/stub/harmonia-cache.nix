# The options of harmonia in newer versions of nixpkgs, and the defaults of its module.
{ lib, ... }:
{
  options.services.harmonia.cache = import ./harmonia-options.nix { inherit lib; };

  config.services.harmonia.cache.settings = lib.mapAttrs (_: lib.mkDefault) { bind = "[::]:5000"; priority = 50; };
}
