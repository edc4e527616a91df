# The config file of a machine as NixOS builds it. `shim` is a folder with the package, `shell` one with `sh`.
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
# The command line of the unit names the file, so building one builds the other.
derivation {
  name = "exec-start";
  system = builtins.currentSystem;
  builder = "${shell}/sh";
  args = [ "-e" "-c" "echo \"$execStart\" > $out" ];
  inherit execStart;
}
