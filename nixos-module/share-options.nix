{ config, lib, ... }:
let
  inherit (lib) literalExpression mkEnableOption mkOption types;
  inherit (config.services.enbi-shim) share;
  absolutePath = import ./absolute-path.nix { inherit lib; };
  inherit (config.networking) hostName;
  bracketed = host: if lib.hasInfix ":" host then "[${host}]" else host;
in
{
  options.services.enbi-shim.share = {
    enable = mkEnableOption "copying builds between nodes: one node builds, signs and serves the result, the others copy it";

    host = mkOption {
      type = types.str;
      default = config.networking.fqdnOrHostName or hostName;
      defaultText = literalExpression "config.networking.fqdnOrHostName";
      example = "10.0.0.5";
      description = "Name or IP address at which the other nodes reach this one. If they cannot resolve its name, give the address.";
    };

    port = mkOption {
      type = types.port;
      default = 5000;
      description = "Port of the binary cache that serves the Nix store of this node.";
    };

    address = mkOption {
      type = types.str;
      default = "http://${bracketed share.host}:${toString share.port}";
      defaultText = literalExpression ''"http://''${host}:''${port}"'';
      description = "URL of that binary cache for other nodes. It must not contain secrets.";
    };

    harmonia.enable = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether {option}`services.harmonia` serves the Nix store. With `false`, another binary cache must answer at
        {option}`services.enbi-shim.share.address`.
      '';
    };

    trustedKeys = mkOption {
      type = types.listOf (types.strMatching "[^:[:space:]]+:[A-Za-z0-9+/]{43}=");
      default = [ ];
      example = [ "worker-1.enbi-1:vcjFmc4ySzLbxTjmjNbbqwMvLdGDoTo3SvlUVWzOWOk=" ];
      description = ''
        Public keys of the nodes whose builds this node may use. The owner of such a key decides about the content of images here.
        `enbi-shim keys --nix` prints the keys that the nodes have published; compare them with the nodes before you add them.
      '';
    };

    keyName = mkOption {
      type = types.strMatching "[A-Za-z0-9._-]+";
      default = "${hostName}.enbi-1";
      defaultText = literalExpression ''"''${config.networking.hostName}.enbi-1"'';
      description = "Name of the key that is made on the node. No two keys of a cluster may have the same name.";
    };

    secretKeyFile = mkOption {
      type = absolutePath;
      default = "/var/lib/enbi-share/secret-key";
      example = "/run/secrets/nix-signing-key";
      description = ''
        Key that signs what Nix builds on this node. The default one is made at the first start; another file must exist. Only root
        needs to read it.
      '';
    };

    publicKeyFile = mkOption {
      type = absolutePath;
      default = "/var/lib/enbi-share/public-key";
      description = "Where the module writes the public key that belongs to the secret key.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to open the port in the firewall. Everyone who reaches the port can read every store path whose hash is known, so open it
        only for the other nodes.
      '';
    };

    firewallInterfaces = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "wg0" ];
      description = "Interfaces for which to open the port. Empty means all.";
    };

    firewallSources = mkOption {
      type = types.listOf (types.strMatching "[0-9a-fA-F:.]+(/[0-9]+)?");
      default = [ ];
      example = [ "10.0.0.0/24" ];
      description = "Addresses or networks for which to open the port. Empty means all.";
    };
  };
}
