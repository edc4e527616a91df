# A small package set like nixpkgs, without inputs. Put a static `busybox` beside this file. Its packages depend on each other as those
# of nixpkgs do, and their programs need only their closure.
{
  outputs = { self }:
    let
      packagesFor = system:
        let
          run = name: attributes: script:
            derivation (attributes // {
              inherit name system;
              builder = "${self}/busybox";
              args = [ "sh" "-euc" "${self}/busybox mkdir tools; ${self}/busybox --install -s tools; PATH=$PWD/tools; ${script}" ];
            });

          # What every program here is made of, as those of nixpkgs are of glibc.
          busybox = run "busybox-1.36.1" { } ''
            mkdir -p $out/bin
            cp ${self}/busybox $out/bin/busybox
            chmod 755 $out/bin/busybox
          '';

          package = name: attributes: script: run name attributes ''
            mkdir -p $out/bin
            program() { { echo '#!${busybox}/bin/busybox sh'; cat; } > $out/bin/$1; chmod 755 $out/bin/$1; }
            applet() { for each; do ln -s ${busybox}/bin/busybox $out/bin/$each; done; }
            ${script}
          '';

          # Some kilobytes of its own, which only depend on its name.
          library = name: dependencies: run name { inherit dependencies; } ''
            mkdir -p $out/lib
            seq 1 20000 | sed "s/^/$name /" > $out/lib/lib$name.so
            echo $dependencies > $out/lib/dependencies
          '';
          zlib = library "zlib-1.3.1" [ ];
          openssl = library "openssl-3.4.1" [ zlib ];
          ncurses = library "ncurses-6.5" [ ];
          oniguruma = library "oniguruma-6.9.10" [ ];

          # As in nixpkgs, only what is to be built throws.
          refused = package: message: package // {
            outPath = throw message;
            drvPath = throw message;
          };
        in
        rec {
          inherit busybox zlib openssl ncurses;

          bashInteractive = package "bash-interactive-5.2p37" { dependencies = [ ncurses ]; } ''
            echo 'exec ${busybox}/bin/busybox sh "$@"' | program bash
            ln -s bash $out/bin/sh
            mkdir -p $out/share/doc
            echo $dependencies > $out/share/doc/bash
          '' // { meta.mainProgram = "bash"; };

          coreutils = package "coreutils-9.6" { } ''
            applet cat chmod cp cut date dirname echo env false head id ls mkdir mv printf pwd rm sha256sum sleep sort stat tail test touch tr true uname wc
          '' // { meta.priority = 10; };

          moreutils = package "moreutils-0.70" { } ''
            echo 'while IFS= read -r line; do echo "$(${coreutils}/bin/date +%H:%M:%S) $line"; done' | program ts
            echo 'text=$(${coreutils}/bin/cat); echo "$text" > "$1"' | program sponge
          '';

          nano = package "nano-8.3" { dependencies = [ ncurses zlib ]; } ''
            echo 'exec ${busybox}/bin/busybox vi "$@"' | program nano
            mkdir -p $out/share/doc $out/etc
            echo $dependencies > $out/share/doc/nano
            echo "set tabsize 4" > $out/etc/nanorc
          '' // { meta.mainProgram = "nano"; };

          curl = package "curl-8.12.1" { outputs = [ "bin" "out" "man" ]; dependencies = [ openssl zlib ]; } ''
            mkdir -p $bin/bin $out/lib $man/share/man
            echo $dependencies > $out/lib/libcurl.so
            echo "curl $out" > $man/share/man/curl.1
            { echo '#!${busybox}/bin/busybox sh'; echo '# ' $out; echo 'exec ${busybox}/bin/busybox wget -q -O - "$@"'; } > $bin/bin/curl
            chmod 755 $bin/bin/curl
            rmdir $out/bin
          '' // { meta = { mainProgram = "curl"; outputsToInstall = [ "bin" "man" ]; }; };

          jq = package "jq-1.7.1" { dependencies = [ oniguruma ]; } ''
            echo "exec ${busybox}/bin/busybox awk -v pattern=\"\$1\" '{ print } # $dependencies'" | program jq
          '' // { meta.mainProgram = "jq"; };

          htop = package "htop-3.4.0" { dependencies = [ ncurses ]; } ''
            echo "exec ${busybox}/bin/busybox top \"\$@\" # $dependencies" | program htop
          '' // { meta.mainProgram = "htop"; };

          strace = package "strace-6.13" { } ''
            echo 'echo "strace: $*" >&2; exec "$@"' | program strace
          '' // { meta.mainProgram = "strace"; };

          cacert = run "nss-cacert-3.108" { } ''
            mkdir -p $out/etc/ssl/certs
            echo "# no authority is trusted here" > $out/etc/ssl/certs/ca-bundle.crt
          '';

          iana-etc = run "iana-etc-20250108" { } ''
            mkdir -p $out/etc
            printf 'tcp 6 TCP\nudp 17 UDP\n' > $out/etc/protocols
            printf 'http 80/tcp\nhttps 443/tcp\n' > $out/etc/services
          '';

          # A reference has lower-case letters, and no `_` at the start of a name.
          _7zz = package "7zz-24.09" { } "echo 'echo 7-Zip' | program 7zz";
          _9Base = package "9base-7" { } "echo 'echo 9base' | program 9base";
          CamelCase = package "camel-case-1.0" { } "echo 'echo CamelCase' | program camel-case";
          gitUI = package "git-ui-1.0" { } "echo 'echo gitUI' | program git-ui";
          gitui = package "gitui-0.27" { } "echo 'echo gitui' | program gitui";
          SDLmixer = package "sdl-mixer-1.2" { } "echo 'echo 1.2' | program sdl-mixer";
          sdlMixer = package "sdl-mixer-2.8" { } "echo 'echo 2.8' | program sdl-mixer";

          python3 = package "python3-3.12.9" { dependencies = [ openssl zlib ncurses ]; } ''
            echo "exec ${busybox}/bin/busybox sh \"\$@\" # $dependencies" | program python3
          '' // { meta.mainProgram = "python3"; };
          python3Packages = {
            recurseForDerivations = true;
            requests = package "python3.12-requests-2.32.3" { } ''
              echo '${python3}/bin/python3 -c "echo requests"' | program requests
            '';
          };

          # Both have a bin/vi: that of vim is taken.
          vim = package "vim-9.1" { dependencies = [ ncurses ]; } ''
            echo "echo vim # $dependencies" | program vi
          '' // { meta.priority = 1; };
          nvi = package "nvi-1.81.6" { } "echo 'echo nvi' | program vi" // { meta.priority = 4; };
          # A file where others have a folder.
          odd-bin = run "odd-bin-1.0" { } "mkdir $out; echo odd > $out/bin";

          telnet = throw "'telnet' has been renamed to/replaced by 'inetutils'";
          unfree = refused (package "unfree-1.0" { } "exit 1") ''
            Package ‘unfree-1.0’ in ${self}/flake.nix:1 has an unfree license (‘unfree’), refusing to evaluate.

            a) To temporarily allow unfree packages, you can use an environment variable
               for a single invocation of the nix tools.

                 $ export NIXPKGS_ALLOW_UNFREE=1

               Note: When using `nix shell`, `nix build`, `nix develop`, etc with a flake,
                     then pass `--impure` in order to allow use of environment variables.

            b) For `nixos-rebuild` you can set
              { nixpkgs.config.allowUnfree = true; }
            in configuration.nix to override this.

            Alternatively you can configure a predicate to allow specific packages:
              { nixpkgs.config.allowUnfreePredicate = pkg: builtins.elem (lib.getName pkg) [
                  "unfree"
                ];
              }

            c) For `nix-env`, `nix-build`, `nix-shell` or any other Nix command you can add
              { allowUnfree = true; }
            to ~/.config/nixpkgs/config.nix.
          '';
          broken = refused (package "broken-1.0" { } "exit 1") ''
            Refusing to evaluate package 'broken-1.0' in ${self}/flake.nix:1 because it is marked as broken
            a) To temporarily allow broken packages, you can use an environment variable
               for a single invocation of the nix tools.

                 $ export NIXPKGS_ALLOW_BROKEN=1
          '';
          insecure = refused (package "insecure-1.0" { } "exit 1") ''
            Package ‘insecure-1.0’ in ${self}/flake.nix:1 is marked as insecure, refusing to evaluate.


            Known issues:
             - its end of life was in 2023
             - CVE-2025-0001

            You can install it anyway by allowing this package, using the
            following methods:

            a) To temporarily allow all insecure packages, you can use an environment
               variable for a single invocation of the nix tools:

                 $ export NIXPKGS_ALLOW_INSECURE=1
          '';
        };
    in
    {
      legacyPackages = {
        x86_64-linux = packagesFor "x86_64-linux";
        aarch64-linux = packagesFor "aarch64-linux";
      };
    };
}
