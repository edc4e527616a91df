{ config, lib, options, ... }:
let
  cfg = config.services.enbi-shim;
  inherit (cfg) settings;
  inherit (config.services) k3s;
  inherit (config.services.kubernetes) kubelet;
  disks = import ./disks.nix { inherit lib; inherit (config) fileSystems; };

  # The value itself cannot be evaluated if a string meets the list of the module.
  isText = option: lib.any lib.isString option.definitions;
  isIn = folders: path: path != null && lib.any (folder: path == folder || lib.hasPrefix "${folder}/" path) folders;

  refuse = isWrong: message: { assertion = !isWrong; inherit message; };
  warn = isSo: message: lib.optional isSo message;

  notInStore = { option, path }:
    refuse (isIn [ builtins.storeDir ] path) "${option} is in the store, which everybody can read: give the path of a file on the machine, as a string.";

  inSight = { option, path }:
    refuse (isIn [ "/home" "/root" "/run/user" ] path) "${option} is ${toString path}, which the service cannot see (ProtectHome=): put the file elsewhere, as in /etc.";

  ofFiles = lib.concatMap (file: [ (notInStore file) (inSight file) ]);

  credential = name: { option = "services.enbi-shim.credentials.${name}"; path = cfg.credentials.${name}; };
  # Keys of hosts are not secret.
  ofCredentials = ofFiles (map credential [ "netrcFile" "nixConfFile" "sshKeyFile" ]) ++ [ (inSight (credential "knownHostsFile")) ];

  ofShim = [
    (refuse (!config.virtualisation.containerd.enable && !k3s.enable)
      "services.enbi-shim needs a containerd: set virtualisation.containerd.enable, or services.k3s.enable, which brings its own.")
    (refuse (cfg.kubelet.enable && cfg.k3s.enable)
      "services.enbi-shim.kubelet.enable and services.enbi-shim.k3s.enable exclude each other: a shim serves one kubelet and one containerd.")
    (refuse (cfg.k3s.enable && isText options.services.k3s.extraFlags)
      "services.k3s.extraFlags is a string, to which services.enbi-shim.k3s.enable cannot add a flag: make it a list of strings.")
    (refuse (cfg.openFirewallForMetrics && settings.metrics == null)
      "services.enbi-shim.openFirewallForMetrics opens the port of services.enbi-shim.settings.metrics.address, but the shim serves no metrics: set settings.metrics = { }.")
  ] ++ ofCredentials ++ ofFiles [
    { option = "services.enbi-shim.kubeconfigFile"; path = cfg.kubeconfigFile; }
  ];

  ofController = [
    (refuse (cfg.controller.kubeconfigFile == null)
      "services.enbi-shim.controller.enable needs services.enbi-shim.controller.kubeconfigFile.")
  ] ++ ofFiles [
    { option = "services.enbi-shim.controller.kubeconfigFile"; path = cfg.controller.kubeconfigFile; }
  ];

  pullsOneByOne = kubeletConfig: kubeletConfig.serializeImagePulls or false;
  limitsPulls = kubeletConfig: kubeletConfig.maxParallelImagePulls or null != null;

  isLocal = address: lib.any (host: lib.hasPrefix "${host}:" address) [ "127.0.0.1" "[::1]" "localhost" ];

  warningsOfShim =
    warn (settings.policy == [ ]) "services.enbi-shim.policy has no rule: nothing will be built."
    ++ warn (!cfg.kubelet.enable && !cfg.k3s.enable)
      "services.enbi-shim is not connected to a kubelet (services.enbi-shim.kubelet.enable, services.enbi-shim.k3s.enable): set its imageServiceEndpoint to unix://${settings.listen}."
    ++ warn (cfg.kubelet.enable && !kubelet.enable)
      "services.enbi-shim.kubelet.enable has no effect without services.kubernetes.kubelet.enable."
    ++ warn (cfg.k3s.enable && !k3s.enable) "services.enbi-shim.k3s.enable has no effect without services.k3s.enable."
    ++ warn (cfg.kubelet.enable && pullsOneByOne kubelet.extraConfig)
      "services.kubernetes.kubelet.extraConfig makes the kubelet pull one image at a time: a build delays every other pull of the node."
    ++ warn (cfg.k3s.enable && pullsOneByOne k3s.extraKubeletConfig)
      "services.k3s.extraKubeletConfig makes the kubelet pull one image at a time: a build delays every other pull of the node."
    ++ warn (cfg.kubelet.enable && limitsPulls kubelet.extraConfig)
      "services.kubernetes.kubelet.extraConfig sets maxParallelImagePulls: builds that wait hold these places, and every other pull of the node waits for them."
    ++ warn (cfg.k3s.enable && limitsPulls k3s.extraKubeletConfig)
      "services.k3s.extraKubeletConfig sets maxParallelImagePulls: builds that wait hold these places, and every other pull of the node waits for them."
    ++ warn (cfg.openFirewallForMetrics && settings.metrics != null && isLocal settings.metrics.address)
      "services.enbi-shim.openFirewallForMetrics has no effect: settings.metrics.address is ${settings.metrics.address}, which no other machine reaches."
    ++ warn (disks.isInMemory settings.stateDir)
      "${settings.stateDir} is in memory: the garbage collection roots of images are lost at each boot. Let services.enbi-shim.settings.stateDir persist."
    ++ warn (settings.import.layers == "linked" && !disks.areTogether "/nix/store" cfg.containerdRoot)
      "/nix/store and ${cfg.containerdRoot} are on different file systems: layers will be copied instead of linked. On one btrfs the copies share their bytes.";
in
{
  config = {
    assertions = lib.optionals cfg.enable ofShim ++ lib.optionals cfg.controller.enable ofController;
    warnings = lib.optionals cfg.enable warningsOfShim;
  };
}
