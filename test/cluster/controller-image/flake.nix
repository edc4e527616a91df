# The controller's image for the tests, where no nixpkgs is: `root`, the whole file system of the image, and `busybox` (static)
# are to lie beside this file.
{
  outputs = { self }:
    let
      architectures = {
        x86_64-linux = "amd64";
        aarch64-linux = "arm64";
      };

      imageFor = system: derivation {
        name = "controller-image.tar";
        inherit system;
        config = builtins.toJSON {
          architecture = architectures.${system};
          os = "linux";
          config.Entrypoint = [ "/bin/node" "/app/dist/controller/main.js" ];
        };
        builder = "${self}/busybox";
        args = [ "sh" "-euc" ''
          ${self}/busybox mkdir tools; ${self}/busybox --install -s tools; PATH=$PWD/tools
          tar -cf layer.tar -C ${self}/root .
          digest=$(sha256sum layer.tar | cut -d ' ' -f 1)
          # The config names its layer: the closing brace makes room.
          echo "''${config%\}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$digest\"]}}" > config.json
          echo '[{"Config":"config.json","RepoTags":["controller:1"],"Layers":["layer.tar"]}]' > manifest.json
          tar -cf $out layer.tar config.json manifest.json
        '' ];
      };
    in
    { packages = builtins.mapAttrs (system: _: { image = imageFor system; }) architectures; };
}
