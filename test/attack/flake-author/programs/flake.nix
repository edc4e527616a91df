# Packages that are harmful programs. Beside this file are `busybox` (static), and `node`, which names a folder
# of the node that everybody can write to.
{
  outputs =
    { self }:
    let
      node = builtins.readFile ./node;
      busybox = "${self}/busybox";
      program =
        name: script:
        derivation {
          inherit name script;
          system = "x86_64-linux";
          builder = busybox;
          args = [
            "sh"
            "-euc"
            "echo '#!${busybox} sh' > $out; echo \"$script\" >> $out; ${busybox} chmod 755 $out"
          ];
        };
      archive = derivation {
        name = "archive.tar";
        system = "x86_64-linux";
        builder = busybox;
        config = builtins.toJSON {
          architecture = "amd64";
          os = "linux";
          config.Cmd = [ "/bin/true" ];
          rootfs = {
            type = "layers";
            diff_ids = [ ];
          };
        };
        args = [
          "sh"
          "-euc"
          ''
            ${busybox} printf %s "$config" > config.json
            echo '[{"Config":"config.json","Layers":[]}]' > manifest.json
            ${busybox} tar -cf $out config.json manifest.json
          ''
        ];
      };
      # The test finds it by its arguments. It ends when the node's folder is removed.
      linger = "while ${busybox} test -e ${node}/linger; do ${busybox} sleep 0.1; done";
    in
    {
      packages.x86_64-linux = {
        looks-around = program "looks-around" ''
          {
            ${busybox} env
            echo looked around
            for path in ${node} /root /var /run /nix/var/nix/db /etc/shadow; do ${busybox} test -e $path && echo "sees $path"; done
            echo "devices and two lines: $(${busybox} wc -l < /proc/net/dev)"
          } >&2
          exit 3
        '';
        writes-about = program "writes-about" ''
          for path in ${node}/written /nix/store/written /nix/var/written ${archive} $program $package; do
            echo harm >> $path
          done
          ${busybox} cat ${archive}
        '';
        never-ends = program "never-ends" "while :; do ${busybox} sleep 1; done";
        dribbles = program "dribbles" "while :; do echo; ${busybox} sleep 0.1; done";
        forks-away = program "forks-away" ''
          ${busybox} setsid ${busybox} sh -c '${linger}' >/dev/null 2>&1 </dev/null &
          ${busybox} setsid ${busybox} sh -c '${linger}' &
          ${busybox} cat ${archive}
        '';
        fills-the-disk = program "fills-the-disk" "exec ${busybox} cat /dev/zero";
        goes-elsewhere = program "goes-elsewhere" "${busybox} rm -f $out; ${busybox} ln -s ${node} $out";
        bare = derivation {
          name = "bare";
          system = "x86_64-linux";
          builder = busybox;
          args = [
            "sh"
            "-euc"
            "echo '#!/bin/sh' > $out; echo 'echo ran >&2; exit 4' >> $out; ${busybox} chmod 755 $out"
          ];
        };
        honest = program "honest" "exec ${busybox} cat ${archive}";
      };
    };
}
