import { hostSystem } from '../../../../recipes/system.ts'
import { hostPlatform } from '../../../../shim/import/image/config.ts'
import type { MergedForm, MergedLayer } from '../../../../shim/import/image/store-image.ts'

export interface Nix2ContainerFlake {
  readonly mode?: string
  readonly gid?: number
  /** Size of a sparse file in the package, in bytes. */
  readonly size?: number
}

/** Digests of no layer. */
export const UNKNOWN_DIGESTS = [1, 2].map(n => `sha256:${`${n}`.repeat(64)}`)

/** So large that the shim computes digests of tars only if they are needed. */
export const LARGE_BYTES = 40 * 1024 ** 2

/**
 * `image`: the document of an image with a package below /nix/store and also at the root, there with other permissions, so that
 * it runs as its owner or group. `digests`: the promised digests of both layers. `program`: the package.
 */
export function nix2containerFlake(
  digests: readonly string[],
  { mode = '4711', gid = 0, size = 1000 }: Nix2ContainerFlake = {},
): string {
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
    program = make { name = "program"; } "mkdir -p $out/bin; cp /usr/bin/busybox $out/bin/busybox; chmod 755 $out/bin/busybox; truncate -s ${size} $out/sparse";
    perms = [ { regex = "bin/busybox"; mode = "${mode}"; uid = 0; gid = ${gid}; uname = "root"; gname = "group"; } ];
    document = builtins.toJSON {
      version = 1;
      arch = "${hostPlatform().architecture}";
      image-config = { Entrypoint = [ "/bin/busybox" "stat" "-c" "%a %Y %n" "/bin/busybox" "\${program}/bin/busybox" ]; };
      layers = [
        ${layer(0, '{ }')}
        ${layer(1, `{ options = { rewrite = { regex = "^\${program}"; repl = ""; }; inherit perms; }; }`)}
      ];
    };
  in {
    packages.${hostSystem()} = {
      image = make { name = "image.json"; inherit document; } ''printf %s "$document" > $out'';
      inherit program;
    };
  };
}
`
}

/** The two layers of the image of that program, in the form of a version of nix2container. */
export function nix2containerLayers(program: string, form: MergedForm, mode = '4711'): MergedLayer[] {
  const perms = [{ regex: 'bin/busybox', mode, uid: 0, gid: 0, uname: 'root', gname: 'group' }]
  return [
    { paths: [{ path: program, perms: [] }], form },
    { paths: [{ path: program, perms, rewrite: { regex: `^${program}`, repl: '' } }], form },
  ]
}
