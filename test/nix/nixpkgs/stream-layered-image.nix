# What nixpkgs' streamLayeredImage leaves: a script, the program that it runs – `stream.py` beside this file – and, as `conf`, the
# conf.json that this reads.
{ build, writeText, settings }:
{ name, tag, config }:
let
  configFile = writeText "${name}-config.json" (builtins.toJSON config);

  # This machine's Node brings no loader and no libraries of its own.
  customisationLayer = build "${name}-customisation-layer" { } ''
    mkdir root $out
    cp --dereference --parents $(ldd ${settings.node.path} | grep -o '/[^ ]*') root
    tar --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner -C root -cf $out/layer.tar .
    sha256sum $out/layer.tar | cut -d ' ' -f 1 > $out/checksum
  '';

  conf = build "${name}-conf.json"
    {
      exportReferencesGraph = [ "closure" configFile ];
      conf = builtins.toJSON {
        inherit (settings) architecture;
        inherit config;
        repo_tag = "${name}:${tag}";
        created = "1970-01-01T00:00:01+00:00";
        mtime = "1970-01-01T00:00:01+00:00";
        uid = "0";
        gid = "0";
        uname = "root";
        gname = "root";
        store_dir = "/nix/store";
        from_image = null;
        customisation_layer = customisationLayer;
      };
    } ''
    paths=$(grep '^/nix/store/' closure | grep -vF ${configFile} | sort -u | sed 's/.*/"&"/' | paste -sd ,)
    # The closing brace makes room.
    echo "''${conf%\}},\"store_layers\":[[$paths]]}" > $out
  '';

  program = build "stream" { } ''
    { echo '#!/usr/bin/python3'; cat ${./stream.py}; } > $out
    chmod 755 $out
  '';
in
build "stream-${name}" { } ''
  printf '#!/bin/sh -e\nexec "%s"  %s "$@"\n' ${program} ${conf} > $out
  chmod 755 $out
'' // { inherit conf; }
