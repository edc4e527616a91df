# An image of a static busybox and a script. It has no inputs, not even nixpkgs, so that it builds without a network. Put `busybox`
# (Debian: busybox-static) beside this file.
{
  description = "hello, the smallest image worth running";

  outputs = { self }:
    let
      architectures = {
        x86_64-linux = "amd64";
        aarch64-linux = "arm64";
      };

      packagesFor = system:
        let
          # A script that busybox runs, with all of its applets on the PATH.
          run = name: variables: script:
            derivation (variables // {
              inherit name system;
              builder = "${self}/busybox";
              args = [ "sh" "-euc" "${self}/busybox mkdir tools; ${self}/busybox --install -s tools; PATH=$PWD/tools; ${script}" ];
            });
        in
        rec {
          program = run "hello-program" { } ''
            echo "compiling hello (a pause stands for the compiler)"
            sleep 1
            mkdir -p $out/bin
            cp ${self}/busybox $out/bin/busybox
            echo '#!/bin/busybox sh' > $out/bin/hello
            echo 'echo "Hello from a container on $(busybox uname -sm): no registry has this image."' >> $out/bin/hello
            chmod 755 $out/bin/hello
            echo "2 files in /bin"
          '';

          layer = run "hello-layer" { } ''
            echo "packing the files as one layer"
            sleep 1
            mkdir $out
            # Same files, same bytes: no times, and names in order.
            cp -r ${program} root
            chmod -R u+w root
            find root -exec touch -h -d @1 {} +
            cd root
            tar -cf $out/layer.tar --no-recursion $(find . | sort)
            sha256sum $out/layer.tar | cut -d ' ' -f 1 > $out/digest
            echo "sha256:$(cat $out/digest)"
          '';

          # A docker-archive, as `docker save` and nixpkgs' dockerTools make them.
          image = run "hello-image.tar.gz"
            {
              config = builtins.toJSON {
                architecture = architectures.${system};
                os = "linux";
                config = {
                  Cmd = [ "/bin/hello" ];
                  Env = [ "PATH=/bin" ];
                };
              };
            } ''
            echo "writing the image"
            sleep 1
            digest=$(cat ${layer}/digest)
            mkdir -p archive/$digest
            cp ${layer}/layer.tar archive/$digest/layer.tar
            # The config names its layer: the closing brace makes room.
            echo "''${config%\}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$digest\"]}}" > archive/config.json
            echo "[{\"Config\":\"config.json\",\"RepoTags\":[\"hello:1\"],\"Layers\":[\"$digest/layer.tar\"]}]" > archive/manifest.json
            tar -czf $out -C archive $digest/layer.tar config.json manifest.json
            echo "$(stat -c %s $out) bytes"
          '';
        };
    in
    { packages = builtins.mapAttrs (system: _: packagesFor system) architectures; };
}
