# Packages that two nodes build or copy, without inputs: busybox and `gate` (a named pipe's path) are put beside this file.
{
  outputs =
    { self }:
    let
      shell =
        attributes: script:
        derivation (
          {
            system = "x86_64-linux";
            builder = "/bin/sh";
            args = [
              "-c"
              "export PATH=${./bin}; ${script}"
            ];
          }
          // attributes
        );
      package = name: shell { inherit name; };
      base = package "base" "echo base > $out";
      copyOf = number: {
        name = "copy${toString number}";
        value = package "copy${toString number}" "echo built here; echo ${base} > $out";
      };
    in
    {
      packages.x86_64-linux = builtins.listToAttrs (builtins.genList copyOf 30) // {
        documented = shell {
          name = "documented";
          outputs = [
            "out"
            "doc"
          ];
        } "echo built here; echo out > $out; echo doc > $doc";
        big = package "big" "busybox head -c 4000000 /dev/urandom > $out";
        claimed = package "claimed" "echo built here; echo > $out";
        left = package "left" "echo built here; echo > $out";
        program = package "program" "echo '#!/bin/sh' > $out; echo 'echo written' >> $out; busybox chmod +x $out";
        mute = package "mute" "exit 1";
        waiting = package "waiting" "echo pid $$; exec busybox cat ${builtins.readFile ./gate} > $out";
        waiting2 = package "waiting2" "echo pid $$; exec busybox cat ${builtins.readFile ./gate} > $out";
        lying = package "truth" "echo > $out" // {
          inherit (base) outPath;
        };
        addressed = shell {
          name = "addressed";
          __contentAddressed = true;
          outputHashMode = "recursive";
          outputHashAlgo = "sha256";
        } "echo built here; echo > $out";
        imports = package "imports-${builtins.replaceStrings [ "\n" ] [ "" ] (builtins.readFile (package "imported" "echo text > $out"))}" "echo > $out";
      };
    };
}
