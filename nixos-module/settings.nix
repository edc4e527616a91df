# What the module itself reads of the shim's config; the shim checks all of it.
{ json, lib }:
let
  inherit (lib) literalExpression mkOption types;
  absolutePath = import ./absolute-path.nix { inherit lib; };
  open = options: { freeformType = types.attrsOf json; inherit options; };
in
open {
  listen = mkOption {
    type = absolutePath;
    default = "/run/enbi-shim/enbi-shim.sock";
    description = "Socket of the shim, which systemd opens and the kubelet connects to.";
  };

  stateDir = mkOption {
    type = absolutePath;
    default = "/var/lib/enbi-shim";
    description = "Folder for gc roots, results and logs of builds.";
  };

  containerd = mkOption {
    type = types.submodule (open {
      address = mkOption {
        type = absolutePath;
        default = "/run/containerd/containerd.sock";
        description = "Socket of containerd. With {option}`services.enbi-shim.k3s.enable` it is that of k3s.";
      };
      imageService = mkOption {
        type = types.nullOr absolutePath;
        default = null;
        example = "/run/containerd-stargz-grpc/containerd-stargz-grpc.sock";
        description = "Socket of another image service, which gets the calls that the shim passes on, and passes them to containerd. Null: containerd itself.";
      };
    });
    default = { };
    description = "How containerd is reached.";
  };

  nix = mkOption {
    type = types.submodule (open {
      user = mkOption {
        type = types.nullOr types.str;
        default = "enbi-shim";
        description = "Whom nix runs as. The module makes the default one; another has to be there. Null: root.";
      };
    });
    default = { };
    description = "How nix is run.";
  };

  import = mkOption {
    type = types.submodule (open {
      layers = mkOption {
        type = types.enum [ "linked" "tar" ];
        default = "linked";
        description = "How layers of store paths get into containerd: by hard links, or as tars, which Spegel and `ctr images push` need.";
      };
      trustStore = mkOption {
        type = types.bool;
        default = false;
        description = "Whether files are linked even from a store that does not belong to root: what runs as its owner can change images that are there.";
      };
    });
    default = { };
    description = "How images get into containerd.";
  };

  policy = mkOption {
    type = types.listOf json;
    default = [ ];
    description = "See {option}`services.enbi-shim.policy`.";
  };

  names = mkOption {
    type = types.listOf json;
    default = [ ];
    example = literalExpression ''
      [
        {
          images = "registry.example/team/{name}";
          flake = "git+https://git.example/team/{name}?ref={tag}";
          package = "image";
        }
        {
          images = "nix.local/pkgs/{contents}";
          packages = "github:NixOS/nixpkgs/nixos-25.05";
        }
      ]
    '';
    description = "Images whose names are recipes: of a package (`flake` and `package`) or of a package set (`packages`). A rule for few images has to come before one for more of the same: keep both in one list.";
  };

  flakeNames = mkOption {
    type = types.bool;
    default = false;
    description = "Whether names of flakes are recipes: `flake-github:0/owner/repo` and its like.";
  };

  kubernetes = mkOption {
    type = types.nullOr (types.attrsOf json);
    default = null;
    example = literalExpression ''{ lookupTimeout = "2s"; }'';
    description = ''
      How the shim takes part in a cluster; `kubeconfig` comes from {option}`services.enbi-shim.kubeconfigFile`, and with it `nodeName`, from
      the kubelet's. Null: not at all.
    '';
  };

  metrics = mkOption {
    type = types.nullOr (types.submodule (open {
      address = mkOption {
        type = types.strMatching ".*:[0-9]+";
        default = "127.0.0.1:9469";
        description = "Where `/metrics`, `/healthz` and `/readyz` are served.";
      };
    }));
    default = null;
    example = literalExpression "{ }";
    description = "Metrics and health. Null: none.";
  };
}
