# As much of nixpkgs as the project's own flake uses, made of what this machine has: no test reaches the real one. Where programs are
# is told by `settings.json` beside this file. For builds without a sandbox.
{
  outputs = { self }: rec {
    lib = import ./lib.nix;
    legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: import ./packages.nix { inherit lib system; });
  };
}
