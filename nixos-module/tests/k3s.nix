# k3s, whose containerd and kubelet are one process, pulls through the shim.
{ node, pod, script }:
let
  nodeName = "machine";
in
{
  name = "enbi-shim-k3s";

  nodes.machine = { config, ... }: {
    imports = [ node ];

    services.k3s = {
      enable = true;
      inherit nodeName;
      disable = [ "coredns" "local-storage" "metrics-server" "servicelb" "traefik" ];
      # There is no network; the image that every pod needs is among these.
      images = [ config.services.k3s.package.airgap-images ];
    };

    environment.variables.KUBECONFIG = "/etc/rancher/k3s/k3s.yaml";
  };

  testScript = ''
    import json

    start_all()
    machine.wait_for_unit("enbi-shim.service")
    machine.wait_for_unit("k3s.service")
    machine.wait_until_succeeds("kubectl wait node/${nodeName} --for=condition=Ready --timeout=5s")

    with subtest("The shim is up before k3s"):
        shim, k3s = [
            int(machine.succeed(f"systemctl show --property=ActiveEnterTimestampMonotonic --value {unit}"))
            for unit in ["enbi-shim.service", "k3s.service"]
        ]
        t.assertLess(shim, k3s)

    ${script { kubelet = "k3s.service"; inherit nodeName pod; }}
  '';
}
