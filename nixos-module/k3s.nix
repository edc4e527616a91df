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
      # One long build must not delay the other pulls of the node.
      extraKubeletConfig.serializeImagePulls = lib.mkDefault false;
    };

    services.enbi-shim.settings = {
      containerd.address = lib.mkDefault "/run/k3s/containerd/containerd.sock";
      kubernetes = lib.mkIf (cfg.kubeconfigFile != null && nodeName != null) {
        nodeName = lib.mkDefault nodeName;
      };
    };

    # The containerd and the kubelet of k3s are one process, and the kubelet asks for images when it starts. So the shim starts first.
    systemd.services.k3s = {
      wants = [ "enbi-shim.service" ];
      after = [ "enbi-shim.service" ];
    };
  };
}
