# The options of harmonia in older versions of nixpkgs.
{ lib, ... }:
{
  options.services.harmonia = import ./harmonia-options.nix { inherit lib; };
}
