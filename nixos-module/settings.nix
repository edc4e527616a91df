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
    description = "Socket of the shim. systemd opens it, and the kubelet connects to it.";
  };

  stateDir = mkOption {
    type = absolutePath;
    default = "/var/lib/enbi-shim";
    description = "Folder for gc roots, results and caches.";
  };

  logDir = mkOption {
    type = absolutePath;
    default = "/var/log/enbi-shim";
    description = "Folder for the logs of builds. The kubelet serves what is below `/var/log`.";
  };

  containerd = mkOption {
    type = types.submodule (open {
      address = mkOption {
        type = absolutePath;
        default = "/run/containerd/containerd.sock";
        description = "Socket of containerd. With {option}`services.enbi-shim.k3s.enable`, the socket of the containerd of k3s.";
      };
      imageService = mkOption {
        type = types.nullOr absolutePath;
        default = null;
        example = "/run/containerd-stargz-grpc/containerd-stargz-grpc.sock";
        description = "Socket of another CRI image service that gets the calls that the shim passes on. `null` means containerd itself.";
      };
    });
    default = { };
    description = "The containerd of the node.";
  };

  nix = mkOption {
    type = types.submodule (open {
      user = mkOption {
        type = types.nullOr types.str;
        default = "enbi-shim";
        description = "User that runs nix. The module creates the default user; another user must exist. `null` means root.";
      };
      collectGarbage = mkOption {
        type = types.submodule (open {
          when = mkOption {
            type = types.enum [ "auto" "always" "never" ];
            default = "auto";
            description = "When the shim has Nix collect garbage as the disk of the store runs low. `auto`: unless `min-free` of {option}`nix.settings` is not less than `below`. The shim also collects beside {option}`nix.gc.automatic`.";
          };
        });
        default = { };
        example = { below = "50GiB"; upTo = "80GiB"; };
        description = "Has Nix free space when the disk of the store runs low.";
      };
    });
    default = { };
    description = "How builds run.";
  };

  import = mkOption {
    type = types.submodule (open {
      layers = mkOption {
        type = types.enum [ "linked" "tar" ];
        default = "linked";
        description = "How layers of store paths get into containerd: `linked` makes hard links, `tar` makes tars, as Spegel and `ctr images push` need.";
      };
      trustStore = mkOption {
        type = types.bool;
        default = false;
        description = "Whether to link files even if the store does not belong to root. Processes of its owner can then change existing images.";
      };
    });
    default = { };
    description = "How build results get into containerd.";
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
    description = "Rules for images whose names are recipes, for a package (`flake` and `package`) or a package set (`packages`). A rule for few images must come before a rule for more of the same images, so keep both in one list.";
  };

  flakeNames = mkOption {
    type = types.bool;
    default = false;
    description = "Whether names such as `flake-github:0/OWNER/REPO` are recipes.";
  };

  kubernetes = mkOption {
    type = types.nullOr (types.attrsOf json);
    default = null;
    example = literalExpression ''{ lookupTimeout = "2s"; }'';
    description = ''
      How the shim takes part in a cluster. {option}`services.enbi-shim.kubeconfigFile` sets `kubeconfig`, and `nodeName` to the name that
      the kubelet has. With `null` the shim works without a cluster.
    '';
  };

  share = mkOption {
    type = types.nullOr (types.attrsOf json);
    default = null;
    example = literalExpression ''{ stores = [ "https://cache.example" ]; }'';
    description = "How nodes share what they build. {option}`services.enbi-shim.share.enable` sets `address` and `publicKeyFile`.";
  };

  metrics = mkOption {
    type = types.nullOr (types.submodule (open {
      address = mkOption {
        type = types.strMatching ".*:[0-9]+";
        default = "127.0.0.1:9469";
        description = "Address that serves `/metrics`, `/healthz` and `/readyz`.";
      };
    }));
    default = null;
    example = literalExpression "{ }";
    description = "Metrics and health. With `null` the shim serves neither.";
  };
}
