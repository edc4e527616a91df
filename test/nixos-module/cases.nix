# Configurations of a machine, each evaluated with the module. A plain node causes no assertion and no warning.
let
  policy = [ { namespaces = [ "team-*" ]; images = [ "registry.example/team/*" ]; flakes = [ "git+https://git.example/team/*" ]; } ];
  # A plain node with changes.
  node = more: { lib, ... }: {
    imports = [ more ];
    services.enbi-shim = {
      enable = true;
      policy = lib.mkDefault policy;
    };
  };
  kubelet = more: node {
    imports = [ more ];
    services.kubernetes.kubelet.enable = true;
    virtualisation.containerd.enable = true;
  };
  k3s = more: node {
    imports = [ more ];
    services.k3s.enable = true;
  };
  controller = more: {
    imports = [ more ];
    services.enbi-shim.controller.enable = true;
  };
  key = name: "${name}:vcjFmc4ySzLbxTjmjNbbqwMvLdGDoTo3SvlUVWzOWOk=";
  # A node that shares its builds, with changes.
  sharing = more: kubelet {
    imports = [ more ./stub/harmonia-cache.nix ];
    services.enbi-shim = {
      kubeconfigFile = "/etc/enbi-shim/kubeconfig";
      share.enable = true;
    };
    networking.hostName = "worker-1";
  };
  # With the key of another one, which the switch itself does not know.
  trusting = more: sharing {
    imports = [ more ];
    services.enbi-shim.share.trustedKeys = [ (key "worker-2.enbi-1") ];
  };
  disk = device: { inherit device; fsType = "ext4"; options = [ "defaults" ]; };
  bind = device: { inherit device; fsType = "none"; options = [ "bind" ]; };
in
{
  off = { };

  kubelet = kubelet { };
  kubelet-in-cluster = kubelet { services.enbi-shim.kubeconfigFile = "/etc/enbi-shim/kubeconfig"; };
  kubelet-own-node-name = kubelet {
    services.enbi-shim = {
      kubeconfigFile = "/etc/enbi-shim/kubeconfig";
      settings.kubernetes.nodeName = "other";
    };
  };
  kubelet-own-settings = kubelet { services.kubernetes.kubelet.extraConfig.maxPods = 200; };
  kubelet-not-wired = kubelet { services.enbi-shim.kubelet.enable = false; };

  k3s = k3s { };
  k3s-in-cluster = k3s {
    services.enbi-shim.kubeconfigFile = "/etc/enbi-shim/kubeconfig";
    services.k3s.nodeName = "worker-1";
  };
  k3s-own-flags = k3s { services.k3s.extraFlags = [ "--disable=traefik" ]; };

  controller = controller { services.enbi-shim.controller.kubeconfigFile = "/etc/enbi-controller/kubeconfig"; };
  controller-flags = controller {
    services.enbi-shim.controller = {
      kubeconfigFile = "/etc/enbi-controller/kubeconfig";
      flags = {
        keep-finished = 50;
        listen = "127.0.0.1:0";
        log-level = "debug";
        node-repel = "tier in (a, b)";
        tolerate = [ "dedicated=builds" "example.com/spot:NoSchedule" ];
      };
    };
  };
  controller-quoting = controller {
    services.enbi-shim.controller = {
      kubeconfigFile = "/etc/enbi-controller/kubeconfig";
      flags.node-repel = "a \"$b\" 5%";
    };
  };
  k3s-and-controller = {
    imports = [
      (k3s { })
      (controller { services.enbi-shim.controller.kubeconfigFile = "/etc/rancher/k3s/k3s.yaml"; })
    ];
  };

  own-package = kubelet ({ pkgs, ... }: { services.enbi-shim.package = pkgs.own-shim; });
  own-socket = kubelet { services.enbi-shim.settings.listen = "/run/other/shim.sock"; };
  own-folders = kubelet {
    services.enbi-shim.settings = { stateDir = "/srv/enbi-shim"; logDir = "/srv/logs"; };
    virtualisation.containerd.settings.root = "/srv/containerd";
    fileSystems = { "/" = disk "/dev/a"; "/srv" = disk "/dev/b"; "/nix" = bind "/srv/nix"; };
  };
  containerd-in-opt = kubelet { virtualisation.containerd.settings.root = "/opt/containerd"; };
  containerd-in-nix = kubelet { virtualisation.containerd.settings.root = "/nix/containerd"; };
  own-memory-limits = kubelet { services.enbi-shim = { memoryMax = "8G"; }; };
  own-state-below-var-lib = kubelet { services.enbi-shim.settings.stateDir = "/var/lib/images/shim"; };
  own-user = kubelet { services.enbi-shim.settings.nix.user = "builder"; };
  root-builds = kubelet { services.enbi-shim.settings.nix.user = null; };
  own-environment = kubelet { services.enbi-shim.environmentFile = "/run/secrets/enbi-shim.env"; };
  credentials = kubelet {
    services.enbi-shim.credentials = { netrcFile = "/run/secrets/netrc"; sshKeyFile = "/run/secrets/key"; };
  };
  metrics = kubelet {
    services.enbi-shim = {
      settings.metrics.address = "[::]:9100";
      openFirewallForMetrics = true;
    };
  };
  more-settings = kubelet {
    services.enbi-shim.settings = {
      nix = { maxBuilds = 4; options.cores = 2; };
      log.level = "debug";
      import.layers = "tar";
      shutdownTimeout = "1m";
      policy = [
        { namespaces = [ "*" ]; images = [ "nix:0/nix/store/*" ]; plainPackages = true; }
        { namespaces = [ "*" ]; images = [ "nix.local/pkgs/**" ]; flakes = [ "packages:github:NixOS/nixpkgs" ]; contents = [ "shell" "jq" ]; }
      ];
      names = [
        { images = "registry.example/team/{name}"; flake = "github:team/{name}"; package = "image"; }
        { images = "nix.local/pkgs/{contents}"; packages = "github:NixOS/nixpkgs"; }
      ];
      flakeNames = true;
    };
  };

  share = trusting { };
  share-with-older-harmonia = kubelet {
    imports = [ ./stub/harmonia.nix ];
    services.enbi-shim = {
      kubeconfigFile = "/etc/enbi-shim/kubeconfig";
      share = { enable = true; trustedKeys = [ (key "worker-2.enbi-1") ]; };
    };
  };
  share-by-another-server = kubelet {
    services.enbi-shim = {
      kubeconfigFile = "/etc/enbi-shim/kubeconfig";
      settings.share.stores = [ "https://cache.example" ];
      share = {
        enable = true;
        address = "https://worker-1.example/nix";
        harmonia.enable = false;
        openFirewall = false;
        trustedKeys = [ (key "worker-2.enbi-1") ];
      };
    };
  };
  share-public-key-elsewhere = trusting { services.enbi-shim.share.publicKeyFile = "/etc/keys/public-key"; };
  share-pushed-to-folder = kubelet { services.enbi-shim.settings.share.push = "file:///srv/cache?compression=zstd"; };
  share-pushed-to-server = kubelet { services.enbi-shim.settings.share.push = "s3://builds?compression=zstd"; };
  share-own-key = trusting { services.enbi-shim.share.secretKeyFile = "/run/secrets/nix-key"; };
  share-for-interfaces = trusting { services.enbi-shim.share = { host = "fd00::5"; port = 5001; firewallInterfaces = [ "wg0" ]; }; };
  share-for-sources = trusting { services.enbi-shim.share.firewallSources = [ "10.0.0.0/24" "fd00::/64" ]; };
  share-for-sources-by-nftables = trusting {
    networking.nftables.enable = true;
    services.enbi-shim.share.firewallSources = [ "10.0.0.0/24" "fd00::/64" ];
  };

  # Valid.
  one-disk = kubelet { fileSystems."/" = disk "/dev/a"; };
  store-bound-onto-itself = kubelet { fileSystems = { "/" = disk "/dev/a"; "/nix/store" = bind "/nix/store"; }; };
  root-in-memory = kubelet {
    fileSystems = { "/" = { device = "tmpfs"; fsType = "tmpfs"; options = [ ]; }; "/nix" = disk "/dev/a"; "/var/lib" = bind "/nix/persist/var/lib"; "/etc/ssh" = bind "/nix/persist/etc/ssh"; };
  };
  two-disks-and-tars = kubelet {
    fileSystems = { "/" = disk "/dev/a"; "/nix" = disk "/dev/b"; };
    services.enbi-shim.settings.import.layers = "tar";
  };

  # Only a build finds this mistake.
  unknown-key = kubelet { services.enbi-shim.settings.nix.maxBuild = 4; };

  # Each with one mistake.
  no-containerd = node { services.kubernetes.kubelet.enable = true; };
  both-wirings = node {
    services.kubernetes.kubelet.enable = true;
    services.k3s.enable = true;
  };
  k3s-flags-as-text = k3s { services.k3s.extraFlags = "--disable=traefik"; };
  firewall-without-metrics = kubelet { services.enbi-shim.openFirewallForMetrics = true; };
  kubeconfig-in-store = kubelet { services.enbi-shim.kubeconfigFile = "${builtins.storeDir}/abc-kubeconfig"; };
  kubeconfig-in-home = kubelet { services.enbi-shim.kubeconfigFile = "/root/.kube/config"; };
  credential-in-store = kubelet { services.enbi-shim.credentials.sshKeyFile = "${builtins.storeDir}/abc-key"; };
  credential-in-home = kubelet { services.enbi-shim.credentials.knownHostsFile = "/root/.ssh/known_hosts"; };
  controller-without-kubeconfig = controller { };
  controller-kubeconfig-in-store = controller { services.enbi-shim.controller.kubeconfigFile = "${builtins.storeDir}/abc-kubeconfig"; };
  no-policy = kubelet { services.enbi-shim.policy = [ ]; };
  not-wired = node { virtualisation.containerd.enable = true; };
  kubelet-not-enabled = node {
    services.enbi-shim.kubelet.enable = true;
    virtualisation.containerd.enable = true;
  };
  k3s-not-enabled = node {
    services.enbi-shim.k3s.enable = true;
    virtualisation.containerd.enable = true;
  };
  serialized-pulls = kubelet { services.kubernetes.kubelet.extraConfig.serializeImagePulls = true; };
  limited-pulls = kubelet { services.kubernetes.kubelet.extraConfig.maxParallelImagePulls = 100; };
  serialized-pulls-of-k3s = k3s { services.k3s.extraKubeletConfig.serializeImagePulls = true; };
  limited-pulls-of-k3s = k3s { services.k3s.extraKubeletConfig.maxParallelImagePulls = 100; };
  firewall-for-local-metrics = kubelet {
    services.enbi-shim = {
      settings.metrics = { };
      openFirewallForMetrics = true;
    };
  };
  state-in-memory = kubelet {
    fileSystems = { "/" = { device = "tmpfs"; fsType = "tmpfs"; options = [ ]; }; "/nix" = disk "/dev/a"; "/var/lib/containerd" = bind "/nix/persist/containerd"; };
  };
  share-without-harmonia = kubelet {
    services.enbi-shim = {
      kubeconfigFile = "/etc/enbi-shim/kubeconfig";
      share = { enable = true; trustedKeys = [ (key "worker-2.enbi-1") ]; };
    };
  };
  share-key-in-store = trusting { services.enbi-shim.share.secretKeyFile = "${builtins.storeDir}/abc-key"; };
  share-public-key-in-home = trusting { services.enbi-shim.share.publicKeyFile = "/root/public-key"; };
  share-without-name = trusting ({ lib, ... }: { networking.hostName = lib.mkForce ""; });
  share-for-both = trusting { services.enbi-shim.share = { firewallSources = [ "10.0.0.0/24" ]; firewallInterfaces = [ "wg0" ]; }; };
  share-two-keys-of-one-name = sharing {
    services.enbi-shim.share.trustedKeys = [ (key "worker-2.enbi-1") "worker-2.enbi-1:AAjFmc4ySzLbxTjmjNbbqwMvLdGDoTo3SvlUVWzOWOk=" ];
  };
  share-without-keys = sharing { };
  share-key-in-memory = trusting {
    fileSystems = { "/" = disk "/dev/a"; "/var/lib/enbi-share" = { device = "tmpfs"; fsType = "tmpfs"; options = [ ]; }; };
  };
  share-without-cluster = trusting ({ lib, ... }: { services.enbi-shim.kubeconfigFile = lib.mkForce null; });
  share-signed-by-harmonia = trusting { services.harmonia.cache.signKeyPaths = [ "/var/lib/key" ]; };
  share-at-another-port = trusting { services.harmonia.cache.settings.bind = "[::]:8080"; };
  share-behind-firewall = trusting { services.enbi-shim.share = { openFirewall = false; firewallSources = [ "10.0.0.0/24" ]; }; };
  two-disks = kubelet { fileSystems = { "/" = disk "/dev/a"; "/nix" = disk "/dev/b"; }; };
}
