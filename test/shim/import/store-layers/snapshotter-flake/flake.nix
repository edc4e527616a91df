# Images as nix-snapshotter has them: an empty folder to mount a store path on, which an annotation names.
{
  outputs = _:
    let
      inherit (builtins.fromJSON (builtins.readFile ./settings.json)) system architecture;
      make = name: script: derivation {
        inherit name system;
        builder = "/bin/sh";
        PATH = "/usr/bin:/bin";
        args = [ "-euc" script ];
      };
      program = make "program" "mkdir -p $out/bin; cp /usr/bin/busybox $out/bin/busybox";
      # As nixpkgs makes it.
      closureInfo = make "closure-info" "mkdir $out; echo ${program} > $out/store-paths";

      image = annotations: make "nix-image-program.tar" ''
        digest() { sha256sum $1 | cut -d ' ' -f 1; }
        describe() { printf '"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s' $1 $(digest $2) $(stat -c %s $2); }

        mkdir -p root${program} oci/blobs/sha256
        tar --sort=name --mtime=@1 --owner=0 --group=0 -cf layer.tar -C root nix
        cat > config.json <<END
        {
          "architecture": "${architecture}", "os": "linux",
          "config": { "Entrypoint": ["${program}/bin/busybox", "echo", "mounted"] },
          "rootfs": { "type": "layers", "diff_ids": ["sha256:$(digest layer.tar)"] }
        }
        END
        cat > manifest.json <<END
        {
          "schemaVersion": 2,
          "config": { $(describe config.v1+json config.json) },
          "layers": [{
            $(describe layer.v1.tar layer.tar),
            "annotations": ${builtins.toJSON annotations}
          }]
        }
        END
        echo "{\"schemaVersion\":2,\"manifests\":[{$(describe manifest.v1+json manifest.json)}]}" > oci/index.json
        echo '{"imageLayoutVersion":"1.0.0"}' > oci/oci-layout
        for file in layer.tar config.json manifest.json; do mv $file oci/blobs/sha256/$(digest $file); done
        tar -cf $out -C oci blobs index.json oci-layout
      '';
    in
    {
      packages.${system} = builtins.mapAttrs (_: image) {
        # Before version 0.3.
        numbered = {
          "containerd.io/snapshot/nix-layer" = "true";
          "containerd.io/snapshot/nix-store-path.0" = program;
        };
        closure."containerd.io/snapshot/nix-closure" = closureInfo;
        unknown."containerd.io/snapshot/nix-bundle" = closureInfo;
      };
    };
}
