# Images in the form of nixpkgs' streamLayeredImage, without nixpkgs: a script, its program and its conf.json. Their content is
# described by `settings.json` beside this file. For builds without a sandbox.
{
  outputs = { self }:
    let
      settings = builtins.fromJSON (builtins.readFile ./settings.json);
      inherit (settings) system;

      shell = name: environment: script: derivation ({
        inherit name system;
        builder = "/bin/sh";
        PATH = "/usr/bin:/bin";
        args = [ "-euc" script ];
      } // environment);

      # Many files, or odd ones.
      trees = builtins.mapAttrs
        (name: arguments: derivation {
          inherit name system;
          builder = settings.node;
          args = [ "${self}/make-tree.mjs" ] ++ arguments;
        })
        settings.trees;

      tar = "tar --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner -C root";

      # Nix lets no builder set a setuid bit: it is set in the tar alone.
      customisationLayer = { script, setuid ? [ ] }: shell "customisation-layer" { } ''
        mkdir root $out
        cd root
        ${script}
        cd ..
        ${tar} -cf $out/layer.tar .
        for program in ${toString setuid}; do ${tar} --mode=4755 -rf $out/layer.tar ./$program; done
        sha256sum $out/layer.tar | cut -d ' ' -f 1 > $out/checksum
      '';

      # A docker-archive whose one layer a script fills.
      archive = { script, env }: shell "base.tar" { config = builtins.toJSON { Env = env; }; } ''
        mkdir root archive
        cd root
        ${script}
        cd ..
        ${tar} -cf layer.tar .
        layer=$(sha256sum layer.tar | cut -d ' ' -f 1)
        mkdir archive/$layer
        mv layer.tar archive/$layer/layer.tar
        echo "{\"architecture\":\"${settings.architecture}\",\"os\":\"linux\",\"config\":$config,\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$layer\"]}}" > config.json
        config=$(sha256sum config.json | cut -d ' ' -f 1)
        mv config.json archive/$config.json
        echo "[{\"Config\":\"$config.json\",\"RepoTags\":[\"base:1\"],\"Layers\":[\"$layer/layer.tar\"]}]" > archive/manifest.json
        tar --sort=name -cf $out -C archive $(ls archive)
      '';

      confOf = name: image: shell "${name}-conf.json"
        {
          conf = builtins.toJSON ({
            architecture = settings.architecture;
            config = image.config;
            repo_tag = "${name}:1";
            created = "1970-01-01T00:00:01+00:00";
            mtime = "1970-01-01T00:00:01+00:00";
            uid = "0";
            gid = "0";
            uname = "root";
            gname = "root";
            store_dir = "/nix/store";
            from_image = if image ? base then archive image.base else null;
            store_layers = map (map (tree: trees.${tree})) image.layers;
            customisation_layer = customisationLayer image.customization;
          } // image.conf or { });
        } ''printf %s "$conf" > $out'';

      program = shell "store-image-stream" { } ''
        { echo '#!/usr/bin/python3'; cat ${self}/stream.py; } > $out
        chmod 755 $out
      '';

      imageOf = name: image: shell "stream-${name}" { } ''
        printf '#!/bin/sh -e\nexec "%s"  %s "$@"\n' ${program} ${confOf name image} > $out
        chmod 755 $out
      '';
    in
    {
      packages.${system} = builtins.mapAttrs imageOf settings.images // trees // {
        conf = builtins.mapAttrs confOf settings.images;
      };
    };
}
