{ config, lib, options, ... }:
let
  cfg = config.services.enbi-shim;
  inherit (cfg) share;
  disks = import ./disks.nix { inherit lib; inherit (config) fileSystems; };
  refuse = isWrong: message: { assertion = !isWrong; inherit message; };
  warn = isSo: message: lib.optional isSo message;

  hasHarmonia = options.services ? harmonia;
  harmonia = if hasHarmonia then config.services.harmonia.cache or config.services.harmonia else { };
  isServed = share.harmonia.enable && hasHarmonia;

  nameOf = key: builtins.head (lib.splitString ":" key);
  keys = lib.unique share.trustedKeys;
  isOneKeyPerName = builtins.length (lib.unique (map nameOf keys)) == builtins.length keys;

  hidden = [ "/home" "/root" "/run/user" builtins.storeDir ];
  isHidden = path: lib.any (folder: lib.hasPrefix "${folder}/" path) hidden;
in
{
  config = lib.mkIf (cfg.enable && share.enable) {
    assertions = [
      (refuse (isHidden share.secretKeyFile)
        "services.enbi-shim.share.secretKeyFile is ${share.secretKeyFile}: keep it where services find it and only root can read it, as in /var/lib.")
      (refuse (isHidden share.publicKeyFile)
        "services.enbi-shim.share.publicKeyFile is ${share.publicKeyFile}, which the services cannot see or write: keep it elsewhere, as in /etc.")
      (refuse (share.harmonia.enable && !hasHarmonia)
        "services.enbi-shim.share needs services.harmonia, which this nixpkgs lacks: use a newer one, or set services.enbi-shim.share.harmonia.enable = false and serve the Nix store yourself.")
      (refuse (lib.hasInfix "//:" share.address || lib.hasPrefix "." share.keyName)
        "services.enbi-shim.share needs a name for this node: set networking.hostName, or both services.enbi-shim.share.host and keyName.")
      (refuse (share.firewallInterfaces != [ ] && share.firewallSources != [ ])
        "services.enbi-shim.share.firewallInterfaces and firewallSources exclude each other.")
      (refuse (!isOneKeyPerName)
        "services.enbi-shim.share.trustedKeys has two keys with one name, of which Nix would use only one: give the nodes different names of keys (services.enbi-shim.share.keyName).")
    ];
    warnings =
      warn (share.trustedKeys == [ ])
        "services.enbi-shim.share.trustedKeys is empty: this node copies nothing from other nodes. `enbi-shim keys --nix` prints the keys of the nodes."
      ++ warn (disks.isInMemory share.secretKeyFile && lib.hasPrefix "/var/lib/" share.secretKeyFile)
        "${share.secretKeyFile} is in memory: the node makes a new key at each boot, which no other node trusts. Let its folder persist."
      ++ warn (cfg.settings.kubernetes == null)
        "services.enbi-shim.share has no API server through which the nodes find each other: set services.enbi-shim.kubeconfigFile."
      ++ warn (isServed && (harmonia.signKeyPaths or [ ]) != [ ])
        "services.harmonia has signKeyPaths: it signs everything that it serves, also what this node has not built. Remove them, because Nix signs what it builds."
      ++ warn (isServed && !lib.hasSuffix ":${toString share.port}" (harmonia.settings.bind or ""))
        "services.harmonia listens at ${harmonia.settings.bind or "another address"}, but services.enbi-shim.share.port is ${toString share.port}."
      ++ warn (!share.openFirewall && (share.firewallInterfaces ++ share.firewallSources) != [ ])
        "services.enbi-shim.share.firewallInterfaces and firewallSources have no effect: openFirewall is false.";
  };
}
