import { hostSystem } from '../../../shim/build/system.ts'
import { hostPlatform } from '../../../shim/import/config.ts'

/**
 * The document of an image with one package below /nix/store, and once more at the root with other permissions: it runs as its
 * owner, or as its group, too. `digests`: of the two layers.
 */
export function nix2containerFlake(digests: readonly string[], { mode = '4711', gid = 0 } = {}): string {
  const layer = (n: number, options: string) =>
    `{ digest = "${digests[n]}"; diff_ids = "${digests[n]}"; size = 1000; mediatype = "application/vnd.oci.image.layer.v1.tar"; paths = [ ({ path = "\${program}"; } // ${options}) ]; }`
  return `{
  outputs = _: let
    make = environment: script: derivation ({
      system = "${hostSystem()}";
      builder = "/bin/sh";
      PATH = "/usr/bin:/bin";
      args = [ "-euc" script ];
    } // environment);
    program = make { name = "program"; } "mkdir -p $out/bin; cp /usr/bin/busybox $out/bin/busybox; chmod 755 $out/bin/busybox";
    perms = [ { regex = "bin/busybox"; mode = "${mode}"; uid = 0; gid = ${gid}; uname = "root"; gname = "root"; } ];
    document = builtins.toJSON {
      version = 1;
      arch = "${hostPlatform().architecture}";
      image-config = { Entrypoint = [ "/bin/busybox" "stat" "-c" "%a %n" "/bin/busybox" "\${program}/bin/busybox" ]; };
      layers = [
        ${layer(0, '{ }')}
        ${layer(1, `{ options = { rewrite = { regex = "^\${program}"; repl = ""; }; inherit perms; }; }`)}
      ];
    };
  in {
    packages.${hostSystem()}.image = make { name = "image.json"; inherit document; } ''printf %s "$document" > $out'';
  };
}
`
}
