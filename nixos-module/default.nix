# Builds images with Nix when the kubelet pulls them: docs/reference/nixos-options.md lists the options.
{
  imports = [
    ./options.nix
    ./unit.nix
    ./share.nix
    ./kubelet.nix
    ./k3s.nix
    ./controller.nix
    ./assertions.nix
  ];
}
