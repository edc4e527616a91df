# A kubelet of services.kubernetes, with its own API server, pulls through the shim.
{ node, pod, script }:
let
  domain = "cluster.example";
  nodeName = "machine.${domain}";
in
{
  name = "enbi-shim-kubelet";

  nodes.machine = { config, pkgs, ... }: {
    imports = [ node ];

    networking = {
      inherit domain;
      extraHosts = "${config.networking.primaryIPAddress} ${nodeName} api.${domain} etcd.${domain}";
      firewall.allowedTCPPorts = [ 443 10250 ];
      firewall.trustedInterfaces = [ "mynet" ];
    };

    services.kubernetes = {
      roles = [ "master" "node" ];
      easyCerts = true;
      masterAddress = nodeName;
      apiserver = {
        securePort = 443;
        advertiseAddress = config.networking.primaryIPAddress;
      };
    };
    services.flannel.iface = "eth1";

    environment.systemPackages = [ pkgs.kubectl ];
    environment.variables.KUBECONFIG = "/etc/kubernetes/cluster-admin.kubeconfig";
  };

  testScript = ''
    import json

    start_all()
    machine.wait_for_unit("enbi-shim.service")
    machine.wait_for_unit("kubelet.service")
    machine.wait_until_succeeds("kubectl wait node/${nodeName} --for=condition=Ready --timeout=5s")

    ${script { kubelet = "kubelet.service"; inherit nodeName pod; }}
  '';
}
