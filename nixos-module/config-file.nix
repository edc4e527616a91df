# The config file of the shim. Its build fails with the shim's own words when the shim would refuse it.
{ lib, pkgs, package, settings }:
let
  present = lib.filterAttrs (_: value: value != null);
  file = (pkgs.formats.json { }).generate "enbi-shim.json" (present (settings // { containerd = present settings.containerd; }));
  canCheck = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
in
if canCheck then
  pkgs.runCommand "enbi-shim-checked.json" { } ''
    ${lib.getExe package} check-config ${file} > /dev/null
    cp ${file} $out
  ''
else
  file
