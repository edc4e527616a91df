# Tests in virtual machines, as nixpkgs' own are: they need nixpkgs and KVM. `module` is the NixOS module, with packages that it can find.
{ pkgs, module }:
let
  common = import ./common.nix { inherit module pkgs; };
  run = file: pkgs.testers.runNixOSTest (import file common);
in
{
  kubelet = run ./kubelet.nix;
  k3s = run ./k3s.nix;
  share = run ./share.nix;
}
