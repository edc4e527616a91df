{ config, lib, ... }:
let
  cfg = config.services.enbi-shim;
in
{
  config = lib.mkIf (cfg.enable && cfg.kubelet.enable && config.services.kubernetes.kubelet.enable) {
    services.kubernetes.kubelet.extraConfig = {
      imageServiceEndpoint = "unix://${cfg.settings.listen}";
      # One long build must not delay the other pulls of the node.
      serializeImagePulls = lib.mkDefault false;
    };

    services.enbi-shim.settings.kubernetes = lib.mkIf (cfg.kubeconfigFile != null) {
      nodeName = lib.mkDefault config.services.kubernetes.kubelet.hostname;
    };

    systemd.services.kubelet = {
      wants = [ "enbi-shim.service" ];
      after = [ "enbi-shim.service" ];
    };
  };
}
