{ config, lib, pkgs, ... }:
let
  inherit (lib) literalExpression mkEnableOption mkOption mkPackageOption types;
  absolutePath = import ./absolute-path.nix { inherit lib; };
  credential = example: description: mkOption {
    type = types.nullOr absolutePath;
    default = null;
    inherit example;
    description = ''
      ${description} The shim reads it before each build, and gives the build user a copy that no other user can read. If the option is
      `null` again, the shim removes the copy. It keeps a file that somebody put there by hand.
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
        The config of the shim, with any of its keys. `enbi-shim check-config` checks the file when Nix builds it, so an unknown key or a
        malformed value fails the build of the system. Everybody can read the file: it must not contain secrets.
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
        Rules that say what may be built for which namespaces. Without a rule nothing is built. They are merged with those in
        {option}`services.enbi-shim.settings.policy`. The first rule that matches decides, so keep rules whose order matters in one list.
      '';
    };

    kubeconfigFile = mkOption {
      type = types.nullOr absolutePath;
      default = null;
      example = "/etc/enbi-shim/kubeconfig";
      description = ''
        Kubeconfig of the shim. Only root needs to read it and the files that it names. The shim reads those files for every request,
        so that a token can be renewed. With `null` the shim works without a cluster.
      '';
    };

    environmentFile = mkOption {
      type = types.nullOr absolutePath;
      default = null;
      example = "/run/secrets/enbi-shim.env";
      description = ''
        File with environment variables of the shim, such as `http_proxy` or `NIX_SSL_CERT_FILE` (`EnvironmentFile=` of
        {manpage}`systemd.exec(5)`).
      '';
    };

    credentials = {
      netrcFile = credential "/run/secrets/netrc" "File with logins for git over HTTPS.";
      nixConfFile = credential "/run/secrets/access-tokens.conf" "File with Nix settings for the build user, such as `access-tokens`.";
      sshKeyFile = credential "/run/secrets/id_ed25519" "File with a private ssh key.";
      knownHostsFile = credential "/etc/enbi-shim/known_hosts" "File with the keys of ssh hosts. Connections to other hosts fail.";
    };

    containerdRoot = mkOption {
      type = absolutePath;
      default =
        if config.services.enbi-shim.k3s.enable then
          "/var/lib/rancher/k3s/agent/containerd"
        else
          config.virtualisation.containerd.settings.root or "/var/lib/containerd";
      defaultText = literalExpression ''config.virtualisation.containerd.settings.root or "/var/lib/containerd", or that of k3s'';
      description = "The `root` folder of containerd. The shim writes layers below it, as hard links to files of the store.";
    };

    memoryMax = mkOption {
      type = types.nullOr types.str;
      default = "50%";
      example = "8G";
      description = ''
        Memory limit of the shim and all evaluations together (`MemoryMax=` of {manpage}`systemd.resource-control(5)`). Above it the kernel
        kills an evaluation. A percentage refers to the memory of the machine. Builders do not count, because they run under nix-daemon.
        `null` means no limit.
      '';
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
      enable = mkEnableOption "enbi-controller as a service of this machine. A cluster needs it once, and it can run as a Deployment instead";

      package = mkPackageOption pkgs "enbi-controller" { };

      kubeconfigFile = mkOption {
        type = types.nullOr absolutePath;
        default = null;
        example = "/etc/enbi-controller/kubeconfig";
        description = ''
          Kubeconfig of the controller. Only root needs to read it. systemd passes it to the unprivileged service at its start
          (`LoadCredential=`). So it must contain certificates, keys and tokens instead of naming files, and a change needs a restart.
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
        description = "Options of `enbi-controller`, without their dashes. `null` means the default of the controller.";
      };
    };
  };
}
