import { join } from 'node:path'
import type { Bed } from '../test/node/bed.ts'
import { lockExample } from '../test/node/example.ts'
import { type StoreImage, type StoreImages, writeStoreImages } from '../test/node/store-image.ts'

/** Store paths below the one that changes, a layer each. */
const LIBRARIES = 24
const FILES = 2_100
const BYTES = 21_500

/** 1.08 GB in 50,400 files and 2,500 folders, and on top of them a small path of which there are two. */
export const CLOSURE: StoreImages = {
  trees: {
    ...Object.fromEntries(names().map((name, seed) => [name, ['many', `${seed + 1}`, `${FILES}`, `${BYTES}`]])),
    'top-first': ['many', '101', '20', '2000'],
    'top-changed': ['many', '102', '20', '2000'],
  },
  images: { first: image('top-first'), changed: image('top-changed') },
}

function image(top: string): StoreImage {
  return {
    layers: [...names().map(name => [name]), [top]],
    customisation: { script: 'mkdir tmp etc; chmod 1777 tmp; echo root:x:0:0 > etc/passwd' },
    config: { Cmd: ['/bin/true'] },
  }
}

function names(): string[] {
  return Array.from({ length: LIBRARIES }, (_, n) => `library-${n}`)
}

export interface Closure {
  /** Flake URL, locked; its packages are `conf.first` and `conf.changed`. */
  readonly url: string
  /** Paths of the programs that stream the images. */
  readonly scripts: Readonly<Record<ImageName, string>>
}

export type ImageName = 'first' | 'changed'

const BUILD_LIMIT_MS = 300_000

/** Builds both images. */
export async function buildClosure(bed: Bed): Promise<Closure> {
  const { url } = await lockExample(await writeStoreImages(bed.dir, CLOSURE), bed.run)
  const build = async (name: ImageName) => {
    const link = join(bed.dir, name)
    await bed.run('nix', ['build', '--out-link', `${link}.conf`, `${url}#conf.${name}`], { limitMs: BUILD_LIMIT_MS })
    await bed.run('nix', ['build', '--out-link', link, `${url}#${name}`], { limitMs: BUILD_LIMIT_MS })
    return link
  }
  return { url, scripts: { first: await build('first'), changed: await build('changed') } }
}
