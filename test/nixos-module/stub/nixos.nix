# The NixOS options that the module reads or sets. harmonia.nix and harmonia-cache.nix have those that depend on the version.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkEnableOption mkOption types;
  option = type: default: mkOption { inherit type default; };
  attrs = option (types.attrsOf types.unspecified) { };
  list = type: option (types.listOf type) [ ];
  unit = types.submodule {
    options = {
      description = option types.str "";
      after = list types.str;
      before = list types.str;
      requires = list types.str;
      wants = list types.str;
      wantedBy = list types.str;
      stopIfChanged = option types.bool true;
      path = list types.package;
      script = option types.str "";
      environment = attrs;
      unitConfig = attrs;
      serviceConfig = attrs;
      socketConfig = attrs;
    };
  };
in
{
  options = {
    assertions = list types.unspecified;
    warnings = list types.str;
    environment.systemPackages = list types.package;
    fileSystems = attrs;
    networking = {
      fqdnOrHostName = option types.str config.networking.hostName;
      hostName = option types.str "nixos";
      nftables.enable = mkEnableOption "nftables";
      firewall = {
        allowedTCPPorts = list types.int;
        extraCommands = option types.str "";
        extraInputRules = option types.str "";
        interfaces = attrs;
      };
    };
    nix = {
      package = option types.package pkgs.nix;
      settings = option (types.attrsOf (pkgs.formats.json { }).type) { };
    };
    services.kubernetes.kubelet = {
      enable = mkEnableOption "the kubelet";
      extraConfig = option (types.attrsOf (pkgs.formats.json { }).type) { };
      hostname = option types.str "node.example";
    };
    services.k3s = {
      enable = mkEnableOption "k3s";
      extraFlags = option (types.either types.str (types.listOf types.str)) [ ];
      extraKubeletConfig = option (types.attrsOf (pkgs.formats.json { }).type) { };
      nodeName = option (types.nullOr types.str) null;
    };
    systemd = {
      services = option (types.attrsOf unit) { };
      sockets = option (types.attrsOf unit) { };
      tmpfiles.rules = list types.str;
    };
    users = {
      users = attrs;
      groups = attrs;
    };
    virtualisation.containerd = {
      enable = mkEnableOption "containerd";
      settings = attrs;
    };
  };
}
