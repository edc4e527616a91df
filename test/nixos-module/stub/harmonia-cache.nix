# The options of harmonia in newer versions of nixpkgs.
{ lib, ... }:
{
  options.services.harmonia.cache = import ./harmonia-options.nix { inherit lib; };
}
