{ config, lib, ... }:
let
  cfg = config.services.enbi-shim.controller;
  flags = lib.concatMap (name: map (value: quote "--${name}=${toString value}") (valuesOf cfg.flags.${name})) (
    lib.attrNames cfg.flags
  );
  valuesOf = value: if value == null then [ ] else if builtins.isList value then value else [ value ];
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
