import { chmod, copyFile, cp, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostSystem } from '../../recipes/system.ts'
import { hostPlatform } from '../../shim/import/image/config.ts'

/** Store paths, and images of them as nixpkgs' streamLayeredImage leaves them: see store-image/flake.nix. */
export interface StoreImages {
  /** By name: arguments of store-image/make-tree.mjs. */
  readonly trees: Readonly<Record<string, readonly string[]>>
  readonly images: Readonly<Record<string, StoreImage>>
}

export interface StoreImage {
  /** Names of trees, bottom layer first. */
  readonly layers: readonly (readonly string[])[]
  /** `script` makes the files of the customisation layer in the current folder; those of `setuid` run as their owner. */
  readonly customisation: { readonly script: string; readonly setuid?: readonly string[] }
  /** The image's own config. */
  readonly config: object
  /** Makes the files of a base image. */
  readonly base?: { readonly script: string; readonly env: readonly string[] }
  /** Put over the fields of conf.json. */
  readonly conf?: object
}

export interface StoreImageFlake {
  readonly dir: string
  readonly url: string
}

const FLAKE = join(import.meta.dirname, 'store-image')
const STREAM_PROGRAM = join(import.meta.dirname, '../shim/import/tar/tarfile-layer.py')

/**
 * Has a package for each image: `NAME`, the script that streams it, and `conf.NAME`, its conf.json.
 * `node`: where builders find it.
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
