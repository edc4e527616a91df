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
      description = "Bookkeeper for images that Nix builds on the nodes";
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        ExecStart = lib.concatStringsSep " " ([ (lib.getExe cfg.package) "--kubeconfig=%d/kubeconfig" ] ++ flags);
        LoadCredential = "kubeconfig:${toString cfg.kubeconfigFile}";
        Restart = "always";
        RestartSec = "5s";

        DynamicUser = true;
        UMask = "0077";
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        PrivateDevices = true;
        PrivateUsers = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProcSubset = "pid";
        CapabilityBoundingSet = "";
        NoNewPrivileges = true;
        LockPersonality = true;
        RemoveIPC = true;
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        # No MemoryDenyWriteExecute: V8 compiles.
        RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6";
        SystemCallArchitectures = "native";
        SystemCallFilter = [ "@system-service" "~@privileged @resources" ];
        SystemCallErrorNumber = "EPERM";
      };
    };
  };
}
