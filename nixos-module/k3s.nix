{ config, lib, ... }:
let
  cfg = config.services.enbi-shim;
  inherit (config.services) k3s;
  # Older modules of k3s do not have it.
  nodeName = k3s.nodeName or null;
in
{
  config = lib.mkIf (cfg.enable && cfg.k3s.enable && k3s.enable) {
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
      kubernetes = lib.mkIf (cfg.kubeconfigFile != null && nodeName != null) {
        nodeName = lib.mkDefault nodeName;
      };
    };

    # Its containerd and kubelet are one process, and the kubelet asks for images as soon as it starts: the shim is up before.
    systemd.services.k3s = {
      wants = [ "enbi-shim.service" ];
      after = [ "enbi-shim.service" ];
    };
  };
}
