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
    services.enbi-shim.settings.stateDir = "/srv/enbi-shim";
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
  two-disks = kubelet { fileSystems = { "/" = disk "/dev/a"; "/nix" = disk "/dev/b"; }; };
}
