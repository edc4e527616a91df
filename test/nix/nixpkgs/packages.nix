{ lib, system }:
let
  settings = builtins.fromJSON (builtins.readFile ./settings.json);

  # bash is to end last: Nix kills what still runs once the log is closed, and coreutils close it before they end.
  build = name: environment: script: derivation ({
    inherit name system;
    builder = "/bin/bash";
    PATH = "/usr/bin:/bin";
    args = [ "-euo" "pipefail" "-c" "${script}\nexit" ];
  } // environment);

  # Links to the machine's own programs.
  links = name: programs: build name { } ''
    mkdir -p $out/bin
    for program in ${toString programs}; do ln -s "$(command -v $program)" $out/bin/; done
  '';

  writeText = name: text: build name { inherit text; passAsFile = [ "text" ]; } ''cp "$textPath" $out'';

  pkgs = {
    inherit lib;
    callPackage = path: arguments:
      let f = import path;
      in f (builtins.intersectAttrs (builtins.functionArgs f) pkgs // arguments);

    stdenv.hostPlatform = { inherit system; };
    stdenvNoCC.mkDerivation = { pname, version, meta, ... }@attributes:
      derivation (removeAttrs attributes [ "meta" ] // {
        inherit system;
        name = "${pname}-${version}";
        builder = "/bin/bash";
        args = [ "-euo" "pipefail" ./stdenv.sh ];
      }) // { inherit meta; };
    mkShell = { inputsFrom }: build "nix-shell" { inherit inputsFrom; } "echo $inputsFrom > $out";
    writeShellScript = name: text: build name { } "cp ${writeText name "#!/bin/bash\n${text}"} $out; chmod 755 $out";
    makeWrapper = build "make-wrapper-hook" { } ''
      mkdir -p $out/nix-support
      cp ${./make-wrapper.sh} $out/nix-support/setup-hook
    '';

    # A build in a test has no network: the tarballs are those of npm's cache.
    fetchNpmPackage = { name, version, integrity }:
      build "${baseNameOf name}-${version}.tgz" { outputHash = integrity; outputHashMode = "flat"; }
        "cp ${settings.tarballs.${integrity}} $out";

    testers.runNixOSTest = { name, ... }: build name { } "echo there are no virtual machines here; false";

    nodejs-slim = build "nodejs-slim" { } "mkdir -p $out/bin; cp ${settings.node.path} $out/bin/node" // {
      inherit (settings.node) version;
      meta.mainProgram = "node";
    };
    nodejs = build "nodejs" { } ''
      mkdir -p $out/bin
      ln -s ${pkgs.nodejs-slim}/bin/node $out/bin/node
      printf '#!/bin/sh\nexec %s %s "$@"\n' ${pkgs.nodejs-slim}/bin/node ${settings.npm} > $out/bin/npm
      chmod 755 $out/bin/npm
    '';
    esbuild = build "esbuild" { } "mkdir -p $out/bin; ln -s ${settings.esbuild} $out/bin/esbuild";
    busybox = build "busybox" { } ''
      mkdir -p $out/bin
      for program in $(/usr/bin/busybox --list); do ln -s busybox $out/bin/$program; done
      cp --remove-destination /usr/bin/busybox $out/bin/busybox
    '';
    bash = links "bash" [ "bash" "sh" ];
    coreutils = links "coreutils" [ "cat" "id" ];
    gitMinimal = links "git-minimal" [ "git" ];
    util-linuxMinimal = links "util-linux-minimal" [ "unshare" "mount" ];

    dockerTools.streamLayeredImage = import ./stream-layered-image.nix { inherit build writeText settings; };
  };
in
pkgs
