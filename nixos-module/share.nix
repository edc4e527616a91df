# Builds that other nodes copy: the key that signs them, the binary cache that serves them, and the keys that this node trusts.
{ config, lib, options, pkgs, ... }:
let
  cfg = config.services.enbi-shim;
  inherit (cfg) share;
  stateDir = "/var/lib/enbi-share";
  ownKey = "${stateDir}/secret-key";
  publicKeyDir = builtins.dirOf share.publicKeyFile;
  # Newer nixpkgs call the option services.harmonia.cache.
  harmonia = {
    enable = true;
    # No signKeyPaths: harmonia would also vouch for paths that this node has not built.
    # Stronger than the default of harmonia's module, weaker than a value of the administrator.
    settings.bind = lib.mkOverride 900 "[::]:${toString share.port}";
  };
  isIPv6 = lib.hasInfix ":";
  acceptFrom = source:
    if config.networking.nftables.enable or false then
      "${if isIPv6 source then "ip6" else "ip"} saddr ${source} tcp dport ${toString share.port} accept\n"
    else
      "${if isIPv6 source then "ip6tables" else "iptables"} -A nixos-fw -p tcp --dport ${toString share.port} -s ${source} -j nixos-fw-accept\n";
  rules = lib.concatStringsSep "" (map acceptFrom share.firewallSources);
in
{
  imports = [ ./share-options.nix ./share-assertions.nix ];

  config = lib.mkIf (cfg.enable && share.enable) {
    services = lib.optionalAttrs (options.services ? harmonia) {
      harmonia = lib.mkIf share.harmonia.enable (if options.services.harmonia ? cache then { cache = harmonia; } else harmonia);
    } // {
      enbi-shim.settings.share = {
        address = lib.mkDefault share.address;
        publicKeyFile = lib.mkDefault share.publicKeyFile;
      };
    };

    nix.settings = {
      secret-key-files = [ share.secretKeyFile ];
      trusted-public-keys = share.trustedKeys;
    };

    systemd.services = {
      enbi-share-key = {
        description = "Key that signs what Nix builds on this node";
        wantedBy = [ "multi-user.target" ];
        before = [ "nix-daemon.service" "enbi-shim.service" ];
        path = [ config.nix.package pkgs.coreutils ];
        environment.HOME = stateDir;
        script = ''
          key() { nix --extra-experimental-features nix-command key "$@"; }
        '' + lib.optionalString (share.secretKeyFile == ownKey) ''
          if [ ! -s ${ownKey} ]; then
            key generate-secret --key-name ${share.keyName} > ${ownKey}.new
            mv ${ownKey}.new ${ownKey}
          fi
        '' + ''
          key convert-secret-to-public < ${share.secretKeyFile} > ${share.publicKeyFile}.new
          chmod 0444 ${share.publicKeyFile}.new
          mv ${share.publicKeyFile}.new ${share.publicKeyFile}
        '';
        serviceConfig = import ./hardening.nix // {
          Type = "oneshot";
          RemainAfterExit = true;
          # Everybody may read the public key. The secret key gets mode 0600.
          StateDirectory = "enbi-share";
          StateDirectoryMode = "0755";
          UMask = "0077";
          PrivateNetwork = true;
          CapabilityBoundingSet = "";
          SystemCallFilter = [ "@system-service" "~@privileged @resources" ];
        } // lib.optionalAttrs (publicKeyDir != stateDir) {
          ReadWritePaths = [ "-${publicKeyDir}" ];
        };
      };
      # While the key is missing, nothing can be built: the daemon cannot sign the result.
      nix-daemon = {
        wants = [ "enbi-share-key.service" ];
        after = [ "enbi-share-key.service" ];
      };
      # The first report of the shim shows the public key.
      enbi-shim = {
        wants = [ "enbi-share-key.service" ];
        after = [ "enbi-share-key.service" ];
      };
    };

    networking.firewall = lib.mkIf share.openFirewall (
      if share.firewallSources != [ ] then
        (if config.networking.nftables.enable or false then { extraInputRules = rules; } else { extraCommands = rules; })
      else if share.firewallInterfaces != [ ] then
        { interfaces = lib.genAttrs share.firewallInterfaces (_: { allowedTCPPorts = [ share.port ]; }); }
      else
        { allowedTCPPorts = [ share.port ]; }
    );
  };
}
