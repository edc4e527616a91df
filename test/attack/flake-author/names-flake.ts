import { hostPlatform } from '../../../shim/import/image/config.ts'
import { writeMadeFlake } from '../../node/made-flake.ts'

export interface ClaimedLayer {
  /** The digest that the JSON gives to the layer. */
  readonly digest: string
  readonly diffId?: string
  readonly mediaType?: string
  /** Shell commands that create its files in `$out`. */
  readonly files?: string
  /** A ready-made tar in the store, in place of files that move to the root. */
  readonly ready?: Buffer
}

const TAR = 'application/vnd.oci.image.layer.v1.tar'
const CONFIG = { Cmd: ['/bin/busybox', 'cat', '/text'] }

/** Writes a flake whose `image` is a document of nix2container with arbitrary claims about its layers. Returns its URL. */
export async function writeClaims(parent: string, layers: readonly ClaimedLayer[]): Promise<string> {
  const ready = layers.flatMap(({ ready }, index): [string, Buffer][] => (ready ? [[`layer-${index}`, ready]] : []))
  const settings = layers.map(({ digest, diffId = digest, mediaType = TAR, files = '', ready }, index) => {
    const said = { digest, diff_ids: diffId, mediatype: mediaType, size: 1000 }
    return {
      said,
      files: ready ? `mkdir $out; cp $folder/layer-${index} $out/layer` : files,
      isReady: ready !== undefined,
    }
  })
  return writeMadeFlake(
    parent,
    `let
      toLayer = { said, files, isReady }:
        let path = make "layer" { folder = "\${./.}"; } files;
        in said // (if isReady
          then { layer-path = "\${path}/layer"; }
          else { paths = [ { inherit path; options.rewrite = { regex = "^\${path}"; repl = ""; }; } ]; });
      document = builtins.toJSON {
        version = 1;
        arch = "${hostPlatform().architecture}";
        image-config = builtins.fromJSON ''${JSON.stringify(CONFIG)}'';
        layers = map toLayer (builtins.fromJSON (builtins.readFile ./settings.json));
      };
    in make "image.json" { inherit document; } ''printf %s "$document" > $out''`,
    { 'settings.json': JSON.stringify(settings), ...Object.fromEntries(ready) },
  )
}

/** Writes a flake whose `image` is a conf.json of streamLayeredImage. Its only layer is the ready-made tar with that checksum. */
export async function writeCustomisation(parent: string, layer: Buffer, checksum: string): Promise<string> {
  const conf = {
    architecture: hostPlatform().architecture,
    config: CONFIG,
    repo_tag: 'attack:1',
    created: '1970-01-01T00:00:01+00:00',
    mtime: '1970-01-01T00:00:01+00:00',
    uid: '0',
    gid: '0',
    uname: 'root',
    gname: 'root',
    from_image: null,
    store_dir: '/nix/store',
    store_layers: [],
  }
  return writeMadeFlake(
    parent,
    `let
      layer = make "customization-layer" { layer = "\${./layer.tar}"; }
        "mkdir $out; cp $layer $out/layer.tar; echo ${checksum} > $out/checksum";
      conf = builtins.toJSON ((builtins.fromJSON (builtins.readFile ./conf.json)) // { customisation_layer = layer; });
    in make "attack-conf.json" { inherit conf; } ''printf %s "$conf" > $out''`,
    { 'layer.tar': layer, 'conf.json': JSON.stringify(conf) },
  )
}
