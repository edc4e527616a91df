# Packages with links to files of others. Beside this file are `busybox` (static), and one text each in `victim` (a folder that only
# root can read, like the folder of another build), `neighbor` (a store path of another tenant) and `digest` (of the victim's layer.tar).
{
  outputs =
    { self }:
    let
      busybox = "${self}/busybox";
      victim = builtins.readFile ./victim;
      neighbor = builtins.readFile ./neighbor;
      digest = builtins.readFile ./digest;
      make =
        name: script:
        derivation {
          inherit name;
          system = "x86_64-linux";
          builder = busybox;
          args = [
            "sh"
            "-euc"
            "${busybox} mkdir tools; ${busybox} --install -s tools; PATH=$PWD/tools; ${script}"
          ];
        };
      json = name: value: make name "echo '${builtins.toJSON value}' > $out";
      holder = make "holder" "mkdir $out; ln -s ${victim} $out/sub; echo nothing > $out/file";
      layer =
        more:
        {
          inherit digest;
          diff_ids = digest;
          size = 10240;
          mediatype = "application/vnd.oci.image.layer.v1.tar";
        }
        // more;
      nix2container =
        name: more:
        json name {
          version = 1;
          arch = "amd64";
          image-config = { };
          layers = [ (layer more) ];
        };
      honest = make "customisation-layer" "mkdir $out; echo own > own; tar -cf $out/layer.tar own; sha256sum $out/layer.tar | cut -c 1-64 > $out/checksum";
      conf =
        name: more:
        json name (
          {
            architecture = "amd64";
            config = { };
            from_image = null;
            store_layers = [ ];
            customisation_layer = honest;
            created = "1970-01-01T00:00:01+00:00";
          }
          // more
        );
    in
    {
      packages.x86_64-linux = {
        output = make "output" "ln -s ${victim}/image.tar $out";
        folder = make "folder" "ln -s ${victim} $out";
        root-file = make "root-file" "ln -s /root-only/image.tar $out";
        layer-path = nix2container "layer-path" { layer-path = "${holder}/sub/layer.tar"; };
        foreign-path = nix2container "foreign-path" { paths = [ { path = neighbor; } ]; };
        foreign-layer = conf "foreign-layer-conf.json" { store_layers = [ [ neighbor ] ]; };
        from-image = conf "from-image-conf.json" { from_image = "${holder}/sub/image.tar"; };
        customization = conf "customization-conf.json" {
          customisation_layer = make "customisation-layer" "mkdir $out; ln -s ${victim}/layer.tar $out/layer.tar; echo ${builtins.substring 7 64 digest} > $out/checksum";
        };
        checksum = conf "checksum-conf.json" {
          customisation_layer = make "customisation-layer" "mkdir $out; echo own > own; tar -cf $out/layer.tar own; ln -s ${victim}/checksum $out/checksum";
        };
        oci-layout = make "oci-layout" "mkdir $out; ln -s ${victim}/oci-layout ${victim}/index.json ${victim}/blobs $out";
        programs = make "programs" "mkdir $out; ln -s ${victim}/bin $out/bin";
        program = make "program" "mkdir -p $out/bin; ln -s ${victim}/bin/key $out/bin/key";
      };
    };
}
