{ config, lib, pkgs, ... }:
let
  inherit (lib) literalExpression mkEnableOption mkOption mkPackageOption types;
  absolutePath = import ./absolute-path.nix { inherit lib; };
  credential = example: description: mkOption {
    type = types.nullOr absolutePath;
    default = null;
    inherit example;
    description = ''
      ${description} The shim reads it before each build and gives the build user a copy that no other user can read. Null again:
      the copy is removed; a file that was put there by hand stays.
    '';
  };
  json = (pkgs.formats.json { }).type;
in
{
  options.services.enbi-shim = {
    enable = mkEnableOption "enbi-shim, which builds images with Nix when the kubelet pulls them";

    package = mkPackageOption pkgs "enbi-shim" { };

    settings = mkOption {
      type = types.submodule (import ./settings.nix { inherit json lib; });
      default = { };
      example = literalExpression ''
        {
          nix.maxBuilds = 4;
          log.level = "debug";
        }
      '';
      description = ''
        The config of the shim. Any key that it knows can be given here. The file is checked with `enbi-shim check-config` when it is
        built: an unknown key or a malformed value fails the build of the system. It is readable to everybody: no secrets.
      '';
    };

    policy = mkOption {
      type = types.listOf json;
      default = [ ];
      example = literalExpression ''
        [
          {
            namespaces = [ "team-*" ];
            images = [ "registry.example/team/*" ];
            flakes = [ "git+https://git.example/team/*" ];
          }
          {
            namespaces = [ "*" ];
            images = [ "nix.local/pkgs/**" ];
            flakes = [ "packages:github:NixOS/nixpkgs" ];
            contents = [ "shell" "curl" "jq" ];
          }
        ]
      '';
      description = ''
        Rules that say what is built for whom. Without a rule nothing is built. They come into {option}`services.enbi-shim.settings.policy`
        with those that are given there; the first rule that matches decides, so keep rules whose order matters in one list.
      '';
    };

    kubeconfigFile = mkOption {
      type = types.nullOr absolutePath;
      default = null;
      example = "/etc/enbi-shim/kubeconfig";
      description = ''
        Kubeconfig of the shim. Root alone has to be able to read it, and the files that it names. The shim
        reads it where it is and reads it again each minute, so that a token can be renewed. Null: the shim knows of no cluster.
      '';
    };

    environmentFile = mkOption {
      type = types.nullOr absolutePath;
      default = null;
      example = "/run/secrets/enbi-shim.env";
      description = ''
        File with environment variables of the shim, as `http_proxy` or `NIX_SSL_CERT_FILE` (`EnvironmentFile=` of
        {manpage}`systemd.exec(5)`).
      '';
    };

    credentials = {
      netrcFile = credential "/run/secrets/netrc" "File with logins for git over https.";
      nixConfFile = credential "/run/secrets/access-tokens.conf" "File with settings of Nix for the build user, for instance `access-tokens`.";
      sshKeyFile = credential "/run/secrets/id_ed25519" "File with a private ssh key.";
      knownHostsFile = credential "/etc/enbi-shim/known_hosts" "File with the keys of ssh hosts. Other hosts are refused.";
    };

    containerdRoot = mkOption {
      type = absolutePath;
      default =
        if config.services.enbi-shim.k3s.enable then
          "/var/lib/rancher/k3s/agent/containerd"
        else
          config.virtualisation.containerd.settings.root or "/var/lib/containerd";
      defaultText = literalExpression ''config.virtualisation.containerd.settings.root or "/var/lib/containerd", or that of k3s'';
      description = "The `root` of containerd. The shim writes layers below it, as hard links to files of the store.";
    };

    memoryMax = mkOption {
      type = types.nullOr types.str;
      default = "50%";
      example = "8G";
      description = ''
        Memory of the shim and all evaluations of nix together, above which an evaluation is ended (`MemoryMax=` of
        {manpage}`systemd.resource-control(5)`). A share is one of the machine's memory. Builders are not among them: they run under nix-daemon. Null: no limit.
      '';
    };

    maxParallelImagePulls = mkOption {
      type = types.ints.positive;
      default = 8;
      description = "How many images the kubelet pulls at once. More than one, as a build must not hold up the other pulls of the node.";
    };

    openFirewallForMetrics = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the port of {option}`services.enbi-shim.settings.metrics.address` in the firewall.";
    };

    kubelet.enable = mkOption {
      type = types.bool;
      default = config.services.kubernetes.kubelet.enable;
      defaultText = literalExpression "config.services.kubernetes.kubelet.enable";
      description = "Whether the kubelet of {option}`services.kubernetes.kubelet` pulls images through the shim.";
    };

    k3s.enable = mkOption {
      type = types.bool;
      default = config.services.k3s.enable;
      defaultText = literalExpression "config.services.k3s.enable";
      description = "Whether the kubelet of {option}`services.k3s` pulls images through the shim, which then uses the containerd of k3s.";
    };

    controller = {
      enable = mkEnableOption "enbi-controller, the bookkeeper of the cluster, as a service of this machine. One in a cluster is enough, and it may run in the cluster instead";

      package = mkPackageOption pkgs "enbi-controller" { };

      kubeconfigFile = mkOption {
        type = types.nullOr absolutePath;
        default = null;
        example = "/etc/enbi-controller/kubeconfig";
        description = ''
          Kubeconfig of the controller. Root alone has to be able to read it. systemd hands it to the
          service, which runs as a user without rights, when the service starts (`LoadCredential=`): it holds certificates and keys or a token
          itself and names no other files, and a change needs a restart.
        '';
      };

      flags = mkOption {
        type = types.submodule (import ./controller-flags.nix { inherit lib; });
        default = { };
        example = literalExpression ''
          {
            keep-finished = 50;
            node-repel = "node-role.kubernetes.io/control-plane";
          }
        '';
        description = "Flags of the controller, without their dashes. Null: as `enbi-controller --help` says.";
      };
    };
  };
}
