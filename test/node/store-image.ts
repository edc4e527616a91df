import { chmod, copyFile, cp, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostSystem } from '../../recipes/system.ts'
import { hostPlatform } from '../../shim/import/image/config.ts'

/** Store paths, and images of them in the form of nixpkgs' streamLayeredImage: see store-image/flake.nix. */
export interface StoreImages {
  /** Arguments of store-image/make-tree.mjs, keyed by name of the tree. */
  readonly trees: Readonly<Record<string, readonly string[]>>
  readonly images: Readonly<Record<string, StoreImage>>
}

export interface StoreImage {
  /** Names of trees, from the bottom layer to the top. */
  readonly layers: readonly (readonly string[])[]
  /**
   * `script` creates the files of the customization layer in the current folder. The files of `setuid` get the setuid
   * bit.
   */
  readonly customization: { readonly script: string; readonly setuid?: readonly string[] }
  /** The config of the image. */
  readonly config: object
  /** Creates the files of a base image. */
  readonly base?: { readonly script: string; readonly env: readonly string[] }
  /** Overrides fields of conf.json. */
  readonly conf?: object
}

export interface StoreImageFlake {
  readonly dir: string
  readonly url: string
}

const FLAKE = join(import.meta.dirname, 'store-image')
const STREAM_PROGRAM = join(import.meta.dirname, '../shim/import/tar/tarfile-layer.py')

/**
 * Writes a flake with two packages for each image: the stream script `NAME` and its conf.json `conf.NAME`. `node` is
 * the path of Node for builders.
 */
export async function writeStoreImages(
  parent: string,
  images: StoreImages,
  node = process.execPath,
): Promise<StoreImageFlake> {
  const dir = await mkdtemp(join(parent, 'store-images-'))
  await cp(FLAKE, dir, { recursive: true })
  await copyFile(STREAM_PROGRAM, join(dir, 'stream.py'))
  const { architecture } = hostPlatform()
  const settings = { ...images, system: hostSystem(), architecture, node }
  await writeFile(join(dir, 'settings.json'), JSON.stringify(settings))
  await chmod(dir, 0o755)
  return { dir, url: `path:${dir}` }
}
