# The same small image in every form that a package may have, without inputs: `busybox` (static) is to lie beside this file.
{
  outputs = { self }:
    let
      architectures = {
        x86_64-linux = "amd64";
        aarch64-linux = "arm64";
      };

      packagesFor = system:
        let
          run = name: script:
            derivation {
              inherit name system config;
              builder = "${self}/busybox";
              args = [ "sh" "-euc" "${self}/busybox mkdir tools; ${self}/busybox --install -s tools; PATH=$PWD/tools; ${script}" ];
            };

          config = builtins.toJSON {
            architecture = architectures.${system};
            os = "linux";
            config.Cmd = [ "/bin/busybox" "echo" "hello from a Nix-built image" ];
          };

          # Into the current folder: layer.tar, config.json, and the digests of both as $layer and $config.
          parts = ''
            mkdir -p root/bin
            cp ${self}/busybox root/bin/busybox
            find root -exec touch -h -d @1 {} +
            tar -cf layer.tar -C root --no-recursion bin bin/busybox
            layer=$(sha256sum layer.tar | cut -d ' ' -f 1)
            echo "''${config%\}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$layer\"]}}" > config.json
            config=$(sha256sum config.json | cut -d ' ' -f 1)
          '';

          # Layers first and the manifest last, as nixpkgs has them.
          dockerArchive = parts + ''
            mkdir -p archive/$layer
            mv layer.tar archive/$layer/layer.tar
            mv config.json archive/$config.json
            echo "[{\"Config\":\"$config.json\",\"RepoTags\":[\"formats:1\"],\"Layers\":[\"$layer/layer.tar\"]}]" > archive/manifest.json
            members="$layer/layer.tar $config.json manifest.json"
          '';

          ociLayout = parts + ''
            mkdir -p oci/blobs/sha256
            layerSize=$(stat -c %s layer.tar)
            configSize=$(stat -c %s config.json)
            mv layer.tar oci/blobs/sha256/$layer
            mv config.json oci/blobs/sha256/$config
            type=application/vnd.oci.image
            echo "{\"schemaVersion\":2,\"mediaType\":\"$type.manifest.v1+json\",
              \"config\":{\"mediaType\":\"$type.config.v1+json\",\"digest\":\"sha256:$config\",\"size\":$configSize},
              \"layers\":[{\"mediaType\":\"$type.layer.v1.tar\",\"digest\":\"sha256:$layer\",\"size\":$layerSize}]}" > manifest.json
            manifest=$(sha256sum manifest.json | cut -d ' ' -f 1)
            manifestSize=$(stat -c %s manifest.json)
            mv manifest.json oci/blobs/sha256/$manifest
            echo "{\"schemaVersion\":2,\"manifests\":[
              {\"mediaType\":\"$type.manifest.v1+json\",\"digest\":\"sha256:$manifest\",\"size\":$manifestSize}]}" > oci/index.json
            echo '{"imageLayoutVersion":"1.0.0"}' > oci/oci-layout
          '';

          # What streamLayeredImage leaves: a program that writes a docker-archive.
          streamScript = name: script: run name ''
            echo '#!${self}/busybox sh' > $out
            echo '${script}' >> $out
            chmod 755 $out
          '';

          docker-archive = run "docker-archive.tar" (dockerArchive + "tar -cf $out -C archive $members");
          stream = streamScript "stream-image" "exec ${self}/busybox cat ${docker-archive}";
        in
        {
          inherit docker-archive;
          docker-archive-gzip = run "docker-archive.tar.gz" (dockerArchive + "tar -czf $out -C archive $members");
          # The name says nothing: the content is what counts.
          docker-archive-misnamed = run "docker-archive.tar.xz" (dockerArchive + "tar -czf $out -C archive $members");
          oci-archive = run "oci-archive.tar" (ociLayout + "tar -cf $out -C oci blobs index.json oci-layout");
          oci-layout = run "oci-layout" (ociLayout + "mv oci $out");
          inherit stream;
          # Its `.stream` is to be built, not the package itself.
          with-stream = run "never-built" "exit 1" // { inherit stream; };
          images.web.frontend = docker-archive;

          # Waits until a file exists at the path that the file `gate` beside this one names.
          # For builds without a sandbox.
          gated = run "gated.tar" (''
            echo "waiting for the gate"
            until test -e ${builtins.readFile ./gate}; do sleep 0.05; done
          '' + dockerArchive + "tar -cf $out -C archive $members");
          # Waits for the gate half-way.
          gated-stream = streamScript "stream-gated" ''
            ${self}/busybox head -c 1000000 ${docker-archive}
            until ${self}/busybox test -e ${builtins.readFile ./gate}; do ${self}/busybox sleep 0.05; done
            ${self}/busybox tail -c +1000001 ${docker-archive}
          '';
          half-streamed = streamScript "stream-half" ''
            ${self}/busybox head -c 1000000 ${docker-archive}
            echo "the rest is missing" >&2
            exit 3
          '';
          no-image = run "no-image" "echo just text > $out";
        };
    in
    { packages = builtins.mapAttrs (system: _: packagesFor system) architectures; };
}
