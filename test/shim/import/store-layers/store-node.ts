import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Bed, type BedOptions, startBed } from '../../../node/bed.ts'
import { recipePull } from '../../../node/recipe-pull.ts'
import type { Shim, ShimOptions } from '../../../node/shim.ts'
import { type StoreImages, writeStoreImages } from '../../../node/store-image.ts'

/** A node with images of store paths: a shim pulls them, or `ctr` imports what their scripts stream. */
export interface StoreNode extends AsyncDisposable {
  readonly bed: Bed
  readonly shim: Shim
  /** Has the packages `NAME` and `conf.NAME`. */
  readonly flakeUrl: string
  /** Has the shim build and import an image by its conf.json; returns the image's id. */
  pull(name: string, shim?: Shim): Promise<string>
  /** Imports the output of the image's script with `ctr`; returns the image's id. */
  importStream(name: string): Promise<string>
  /** All files of an image, one per line. */
  files(image: string): Promise<string[]>
  /** Removes every image, and collects garbage. */
  removeImages(): Promise<void>
  /** Names of all snapshots, committed or not. */
  snapshots(): Promise<{ committed: string[]; others: string[] }>
  ctr(...args: string[]): Promise<string>
}

const LIST_TREE = join(import.meta.dirname, 'list-tree.py')

export async function startStoreNode(
  images: StoreImages,
  { shim: shimOptions, ...bedOptions }: BedOptions & { readonly shim?: ShimOptions } = {},
): Promise<StoreNode> {
  const bed = await startBed(bedOptions)
  try {
    return await furnish(bed, images, shimOptions)
  } catch (error) {
    await bed[Symbol.asyncDispose]()
    throw error
  }
}

export function imageName(name: string): string {
  return `registry.example/store/${name}:1`
}

async function furnish(bed: Bed, images: StoreImages, options: ShimOptions | undefined): Promise<StoreNode> {
  const flake = await writeStoreImages(bed.dir, images)
  const shim = await bed.startShim(options)
  const ctr = async (...args: string[]) => {
    const { stdout } = await bed.run('ctr', ['--address', bed.containerdSocket, '--namespace', 'k8s.io', ...args])
    return stdout
  }
  return {
    bed,
    shim,
    flakeUrl: flake.url,
    ctr,
    async pull(name, by = shim) {
      const recipe = { image: imageName(name), flakeUrl: flake.url, packageName: `conf.${name}` }
      return await bed.cri(by.socket).pullImage(recipePull(recipe))
    },
    async importStream(name) {
      const script = join(bed.dir, name)
      await bed.run('nix', ['build', '--out-link', script, `${flake.url}#${name}`])
      const stream = '"$1" | ctr --address "$2" --namespace k8s.io images import -'
      await bed.run('sh', ['-c', stream, 'sh', script, bed.containerdSocket])
      return (await bed.cri().waitForImage(`docker.io/library/${name}:1`)).id
    },
    async files(image) {
      const folder = join(bed.dir, 'rootfs')
      await mkdir(folder, { recursive: true })
      await ctr('images', 'mount', image, folder)
      try {
        const { stdout } = await bed.run('/usr/bin/python3', ['-I', LIST_TREE, folder])
        return stdout.trimEnd().split('\n')
      } finally {
        await ctr('images', 'unmount', '--rm', folder)
      }
    },
    async removeImages() {
      const names = (await ctr('images', 'ls', '-q')).split('\n').filter(name => name !== '')
      if (names.length > 0) await ctr('images', 'rm', '--sync', ...names)
    },
    async snapshots() {
      const rows = (await ctr('snapshots', 'ls'))
        .split('\n')
        .slice(1)
        .map(row => row.split(/\s+/))
      const named = (committed: boolean) =>
        rows.flatMap(row => (row[0] && row.includes('Committed') === committed ? [row[0]] : []))
      return { committed: named(true), others: named(false) }
    },
    [Symbol.asyncDispose]: () => bed[Symbol.asyncDispose](),
  }
}
