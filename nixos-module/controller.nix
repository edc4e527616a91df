{ config, lib, ... }:
let
  cfg = config.services.enbi-shim.controller;
  flags = lib.mapAttrsToList (name: value: quote "--${name}=${toString value}") (
    lib.filterAttrs (_: value: value != null) cfg.flags
  );
  # As systemd unquotes it.
  quote = text: lib.replaceStrings [ "%" "$" ] [ "%%" "$$" ] (builtins.toJSON text);
in
{
  config = lib.mkIf cfg.enable {
    systemd.services.enbi-controller = {
      description = "Controller for images that Nix builds on the nodes";
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      wantedBy = [ "multi-user.target" ];
      serviceConfig = import ./hardening.nix // {
        ExecStart = lib.concatStringsSep " " ([ (lib.getExe cfg.package) "--kubeconfig=%d/kubeconfig" ] ++ flags);
        LoadCredential = "kubeconfig:${toString cfg.kubeconfigFile}";
        Restart = "always";
        RestartSec = "5s";

        DynamicUser = true;
        UMask = "0077";
        PrivateUsers = true;
        ProcSubset = "pid";
        CapabilityBoundingSet = "";
        RestrictSUIDSGID = true;
        SystemCallFilter = [ "@system-service" "~@privileged @resources" ];
      };
    };
  };
}
