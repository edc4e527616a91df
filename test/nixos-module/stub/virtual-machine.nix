# The options of a virtual machine and of its services that the tests use.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  anything = mkOption { type = types.attrsOf types.unspecified; default = { }; };
  one = type: mkOption { inherit type; };
  some = default: mkOption { type = types.unspecified; inherit default; };
in
{
  options = {
    environment.variables = anything;
    networking = {
      domain = some null;
      extraHosts = some "";
      firewall.trustedInterfaces = some [ ];
      primaryIPAddress = some "192.168.1.1";
    };
    services.flannel.iface = some null;
    services.k3s = {
      disable = some [ ];
      images = some [ ];
      package = some { airgap-images = "/nix/store/k3s-airgap-images"; };
    };
    services.kubernetes = {
      roles = some [ ];
      easyCerts = some false;
      masterAddress = one types.str;
      apiserver = anything;
    };
    virtualisation = {
      cores = one types.ints.positive;
      memorySize = one types.ints.positive;
      diskSize = one types.ints.positive;
    };
  };
}
