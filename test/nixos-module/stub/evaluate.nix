{ lib, pkgs }: module:
lib.evalModules {
  modules = [ ./nixos.nix ../../../nixos-module module ];
  specialArgs = { inherit pkgs; };
}
