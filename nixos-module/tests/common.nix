{ module, pkgs }:
let
  # The flake of examples/hello with the busybox that it wants; it has no inputs, so that it builds without a network.
  flake = pkgs.runCommand "hello-flake" { } ''
    mkdir $out
    cp ${../../examples/hello/flake.nix} $out/flake.nix
    cp ${pkgs.pkgsStatic.busybox}/bin/busybox $out/busybox
  '';
in
{
  node = {
    imports = [ module ];

    # A kubelet and an API server are too much for the default machine.
    virtualisation = {
      cores = 2;
      memorySize = 3072;
      diskSize = 8192;
    };

    services.enbi-shim = {
      enable = true;
      policy = [
        {
          namespaces = [ "default" ];
          images = [ "registry.example/team/*" ];
          flakes = [ "path:${builtins.storeDir}/*" ];
        }
      ];
    };
  };

  pod = pkgs.writeText "pod.json" (builtins.toJSON {
    apiVersion = "v1";
    kind = "Pod";
    metadata = {
      name = "hello";
      annotations = {
        "enbi.hrzn.ee/nixbuild-imageTag" = "registry.example/team/hello:1";
        "enbi.hrzn.ee/nixbuild-flakeUrl" = "path:${flake}";
        "enbi.hrzn.ee/nixbuild-packageName" = "image";
      };
    };
    spec = {
      restartPolicy = "Never";
      containers = [ { name = "hello"; image = "registry.example/team/hello:1"; } ];
    };
  });

  # What each test asks of its machine once the node is Ready. `kubelet` is the unit that the kubelet is in.
  script = { kubelet, nodeName, pod }: ''
    with subtest("The kubelet pulls through the shim, several images concurrently"):
        configz = json.loads(machine.succeed("kubectl get --raw /api/v1/nodes/${nodeName}/proxy/configz"))
        kubelet_config = configz["kubeletconfig"]
        t.assertEqual(kubelet_config["imageServiceEndpoint"], "unix:///run/enbi-shim/enbi-shim.sock")
        t.assertFalse(kubelet_config["serializeImagePulls"])
        t.assertNotIn("maxParallelImagePulls", kubelet_config)

    with subtest("A pod runs an image that no registry has, at the first pull"):
        machine.wait_until_succeeds("kubectl get serviceaccount default")
        machine.succeed("kubectl apply -f ${pod}")
        machine.wait_until_succeeds("kubectl get pod hello -o jsonpath='{.status.phase}' | grep -x Succeeded", timeout=300)
        t.assertIn("no registry has this image", machine.succeed("kubectl logs hello"))
        events = machine.succeed("kubectl get events -o jsonpath='{.items[*].reason}'")
        t.assertNotIn("BackOff", events.split())

    with subtest("The build ran as the build user"):
        machine.succeed("find /var/lib/enbi-shim/gcroots -type l -user enbi-shim | grep .")

    with subtest("A restart of the shim leaves the kubelet alone"):
        kubelet = machine.succeed("systemctl show --property=MainPID ${kubelet}")
        machine.succeed("systemctl restart enbi-shim.service")
        machine.wait_for_unit("enbi-shim.service")
        t.assertEqual(kubelet, machine.succeed("systemctl show --property=MainPID ${kubelet}"))

    with subtest("The kubelet's next call starts the shim again"):
        machine.succeed("systemctl stop enbi-shim.service")
        machine.wait_until_succeeds("systemctl is-active enbi-shim.service", timeout=120)

    with subtest("systemd finds little exposed"):
        machine.succeed("systemd-analyze security --threshold=30 enbi-shim.service")
  '';
}
