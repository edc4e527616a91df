# Puts credentials of private sources where git, ssh and nix of the build user find them: docs/how-to/private-flakes.md.
{ config, lib, pkgs, ... }:
let
  cfg = config.services.enbi-shim;
  inherit (cfg) credentials settings;
  home = "${settings.stateDir}/build-home";
  nixConfig = "${settings.stateDir}/build-config";
  group = if settings.nix.user == null then "root" else settings.nix.user;

  # "+": outside of the service's sandbox, as secrets lie where it does not look.
  install = arguments: "+${pkgs.coreutils}/bin/install -o root ${arguments}";
  # As systemd unquotes it.
  quote = text: lib.replaceStrings [ "%" "$" ] [ "%%" "$$" ] (builtins.toJSON text);

  files = lib.filter ({ from, ... }: from != null) [
    { from = credentials.netrcFile; to = "${home}/.netrc"; }
    { from = credentials.nixConfFile; to = "${nixConfig}/nix/nix.conf"; }
    { from = credentials.sshKeyFile; to = "${home}/.ssh/id_ed25519"; }
    { from = credentials.knownHostsFile; to = "${home}/.ssh/known_hosts"; }
  ];
in
{
  config = lib.mkIf (cfg.enable && files != [ ]) {
    systemd.services.enbi-shim.serviceConfig.ExecStartPre = [
      (install "-d -m 750 -g ${group} ${quote home} ${quote "${home}/.ssh"}")
      (install "-d -m 755 -g root ${quote nixConfig} ${quote "${nixConfig}/nix"}")
    ] ++ map ({ from, to }: install "-m 640 -g ${group} ${quote from} ${quote to}") files;
  };
}
