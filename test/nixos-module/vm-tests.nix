# The scripts and machine options of the tests in virtual machines, as far as they can be evaluated without nixpkgs.
let
  lib = import ./stub/lib.nix;
  pkgs = import ./stub/pkgs.nix { inherit lib; } // { testers.runNixOSTest = evaluate; };

  module = { config, lib, ... }: {
    imports = [ ./stub/nixos.nix ./stub/virtual-machine.nix ./stub/harmonia-cache.nix ../../nixos-module ];
    # nixpkgs sets this for the role of a node.
    services.kubernetes.kubelet.enable = lib.mkDefault (lib.elem "node" config.services.kubernetes.roles);
    virtualisation.containerd.enable = lib.mkDefault (lib.elem "node" config.services.kubernetes.roles);
  };

  evaluate = { name, nodes, testScript }: {
    inherit name testScript;
    machines = lib.mapAttrs (_: machine) nodes;
  };

  machine = node:
    let
      inherit (lib.evalModules { modules = [ node ]; specialArgs = { inherit pkgs; }; }) config;
    in
    {
      inherit (config) warnings;
      assertions = map ({ message, ... }: message) (lib.filter ({ assertion, ... }: !assertion) config.assertions);
      kubelet = config.services.kubernetes.kubelet.extraConfig;
      k3s = config.services.k3s.extraFlags;
      inherit (config.services.enbi-shim.settings) policy;
    };
in
import ../../nixos-module/tests { inherit module pkgs; }
