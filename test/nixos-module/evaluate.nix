# The result of the module for each configuration.
{ cases }:
let
  lib = import ./stub/lib.nix;
  pkgs = import ./stub/pkgs.nix { inherit lib; };
  evaluate = import ./stub/evaluate.nix { inherit lib pkgs; };

  rendered = module:
    let
      inherit (evaluate module) config;
      failed = lib.filter ({ assertion, ... }: !assertion) config.assertions;
    in
    {
      assertions = map ({ message, ... }: message) failed;
      inherit (config) warnings;
    }
    # NixOS also reports failed assertions before it evaluates anything else.
    // lib.optionalAttrs (failed == [ ]) {
      inherit (config.systemd) services sockets tmpfiles;
      inherit (config.networking) firewall;
      inherit (config) users;
      nix = config.nix.settings;
      kubelet = config.services.kubernetes.kubelet.extraConfig;
      harmonia = config.services.harmonia.cache or config.services.harmonia or { };
      k3s = { inherit (config.services.k3s) extraFlags extraKubeletConfig; };
      packages = map toString config.environment.systemPackages;
    };
in
lib.mapAttrs (_: rendered) cases
