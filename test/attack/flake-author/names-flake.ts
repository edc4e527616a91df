import { chmod, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostSystem } from '../../../shim/build/system.ts'
import { hostPlatform } from '../../../shim/import/config.ts'

export interface ClaimedLayer {
  /** What the layer is said to be. */
  readonly digest: string
  readonly diffId?: string
  readonly mediaType?: string
  /** Shell commands that make its files in `$out`. */
  readonly files: string
  /** The files are no store path that moves to the root, but a tar that lies ready in it, by that name. */
  readonly ready?: string
}

const TAR = 'application/vnd.oci.image.layer.v1.tar'

/** Has `image`, a document of nix2container that says of its layers what its author likes. Returns its URL. */
export async function writeClaims(parent: string, layers: readonly ClaimedLayer[]): Promise<string> {
  return writeFlake(
    parent,
    `let
      layers = map ({ digest, diff_ids, mediatype, files, ready }:
        let path = make "layer" { } files;
        in { inherit digest diff_ids mediatype; size = 1000; }
          // (if ready == "" then { paths = [ { inherit path; options.rewrite = { regex = "^\${path}"; repl = ""; }; } ]; } else { layer-path = "\${path}/\${ready}"; })
      ) (builtins.fromJSON (builtins.readFile ./layers.json));
      document = builtins.toJSON {
        version = 1;
        arch = "${hostPlatform().architecture}";
        image-config = { Cmd = [ "/bin/busybox" "cat" "/text" ]; };
        inherit layers;
      };
    in make "image.json" { inherit document; } ''printf %s "$document" > $out''`,
    {
      'layers.json': JSON.stringify(
        layers.map(({ digest, diffId = digest, mediaType = TAR, files, ready = '' }) => {
          return { digest, diff_ids: diffId, mediatype: mediaType, files, ready }
        }),
      ),
    },
  )
}

/** `image` is an expression that may use `make NAME ENVIRONMENT SCRIPT`. */
export async function writeFlake(
  parent: string,
  image: string,
  files: Readonly<Record<string, string | Buffer>> = {},
): Promise<string> {
  const dir = await mkdtemp(join(parent, 'flake-'))
  await chmod(dir, 0o755)
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content)
  await writeFile(
    join(dir, 'flake.nix'),
    `{
  outputs = _: let
    make = name: environment: script: derivation ({
      inherit name;
      system = "${hostSystem()}";
      builder = "/bin/sh";
      PATH = "/usr/bin:/bin";
      args = [ "-euc" script ];
    } // environment);
  in {
    packages.${hostSystem()}.image = ${image};
  };
}
`,
  )
  return `path:${dir}`
}
