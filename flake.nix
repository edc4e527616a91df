{
  description = "Nix builds, on image pull: a per-node proxy between the kubelet and containerd";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      systems = [ "x86_64-linux" "aarch64-linux" ];
      eachSystem = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});

      programs = pkgs: {
        enbi-shim = pkgs.callPackage ./package.nix { };
        enbi-controller = pkgs.callPackage ./package.nix { program = "enbi-controller"; };
        kubectl-nixbuild = pkgs.callPackage ./package.nix { program = "kubectl-nixbuild"; };
      };
    in
    {
      packages = eachSystem (pkgs:
        let own = programs pkgs;
        in own // {
          default = own.enbi-shim;
          controller-image = pkgs.callPackage ./nix/controller-image.nix { inherit (own) enbi-controller; };
          token-image = pkgs.callPackage ./nix/token-image.nix { inherit (own.enbi-shim) version; };
        });

      apps = eachSystem (pkgs: {
        demo = {
          type = "app";
          program = toString (pkgs.callPackage ./nix/demo.nix { source = self; });
          meta.description = "a pod's image built on pull and run, on a node that is gone afterwards";
        };
      });

      overlays.default = final: prev: programs final;

      # Of this flake's nixpkgs, whatever the machine's own is: that may have no Node that is new enough.
      nixosModules.default = { lib, pkgs, ... }:
        let own = self.packages.${pkgs.stdenv.hostPlatform.system};
        in {
          imports = [ ./nixos-module ];
          services.enbi-shim.package = lib.mkDefault own.enbi-shim;
          services.enbi-shim.controller.package = lib.mkDefault own.enbi-controller;
        };

      checks = eachSystem (pkgs: {
        inherit (self.packages.${pkgs.stdenv.hostPlatform.system}) enbi-shim enbi-controller kubectl-nixbuild controller-image token-image;
      } // import ./nixos-module/tests { inherit pkgs; module = self.nixosModules.default; });

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell { inputsFrom = [ (programs pkgs).enbi-shim ]; };
      });
    };
}
