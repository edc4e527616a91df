# The config file of a machine as NixOS builds it. `shim` is a folder that has the package in it, `shell` one that has `sh`.
{ name, shim, shell }:
let
  lib = import ./stub/lib.nix;
  pkgs = import ./stub/pkgs.nix {
    inherit lib;
    own.enbi-shim = { outPath = shim; meta.mainProgram = "enbi-shim"; };
    run = name: script: derivation {
      inherit name;
      system = builtins.currentSystem;
      builder = "${shell}/sh";
      args = [ "-e" "-c" script ];
      PATH = shell;
    };
  };
  machine = import ./stub/evaluate.nix { inherit lib pkgs; } (import ./cases.nix).${name};
  execStart = machine.config.systemd.services.enbi-shim.serviceConfig.ExecStart;
in
# What systemd runs names the file; to build that is to build the file.
derivation {
  name = "exec-start";
  system = builtins.currentSystem;
  builder = "${shell}/sh";
  args = [ "-e" "-c" "echo \"$execStart\" > $out" ];
  inherit execStart;
}
