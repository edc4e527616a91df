{ config, lib, ... }:
let
  cfg = config.services.enbi-shim;
  inherit (config.services) k3s;
in
{
  config = lib.mkIf (cfg.enable && cfg.k3s.enable) {
    services.k3s = {
      extraFlags = [ "--image-service-endpoint=unix://${cfg.settings.listen}" ];
      # One long build must not hold up the node's other pulls. (The kubelet has no flag for the second.)
      extraKubeletConfig = {
        serializeImagePulls = lib.mkDefault false;
        maxParallelImagePulls = lib.mkDefault cfg.maxParallelImagePulls;
      };
    };

    services.enbi-shim.settings = {
      containerd.address = lib.mkDefault "/run/k3s/containerd/containerd.sock";
      kubernetes = lib.mkIf (cfg.kubeconfigFile != null && k3s.nodeName != null) {
        nodeName = lib.mkDefault k3s.nodeName;
      };
    };

    # Its containerd and kubelet are one process, and the kubelet asks for images as soon as it starts: the shim is up before.
    systemd.services.k3s = {
      wants = [ "enbi-shim.service" ];
      after = [ "enbi-shim.service" ];
    };
  };
}
