import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostSystem } from '../recipes/system.ts'
import type { Bed } from '../test/node/bed.ts'
import type { Pull } from '../test/node/cri.ts'
import { recipePull } from '../test/node/recipe-pull.ts'
import type { Shim } from '../test/node/shim.ts'
import { writeArchive } from './archive.ts'

const DIST = join(import.meta.dirname, '../dist')

/** As it is packaged; the arguments are those in its first line. */
export const SHIM_PROGRAM = {
  program: join(DIST, 'shim/main.js'),
  nodeArgs: ['--max-semi-space-size=2', '--max-old-space-size=256'],
} as const
export const CONTROLLER_PROGRAM = {
  program: join(DIST, 'controller/main.js'),
  nodeArgs: ['--max-semi-space-size=4', '--max-old-space-size=512'],
} as const

export function startPackagedShim(bed: Bed): Promise<Shim> {
  return bed.startShim(SHIM_PROGRAM)
}

/** A flake with one package, `image`, which a shell command makes; the build is not in a sandbox. */
export async function writeFlake(bed: Bed, name: string, command: string): Promise<string> {
  const dir = join(bed.dir, name)
  await mkdir(dir, { recursive: true })
  await chmod(dir, 0o755)
  const flake = `{
  outputs = _: {
    packages.${hostSystem()}.image = derivation {
      name = "${name}.tar";
      system = "${hostSystem()}";
      builder = "/bin/sh";
      PATH = "/usr/bin:/bin";
      args = [ "-c" ${JSON.stringify(command)} ];
    };
  };
}
`
  await writeFile(join(dir, 'flake.nix'), flake)
  return dir
}

const BUILD_LIMIT_MS = 300_000

/** So that a pull's time is that of its import, and of asking nix for what there is. */
export async function buildBefore(bed: Bed, dir: string): Promise<void> {
  await bed.run('nix', ['build', '--no-link', `path:${dir}#image`], { limitMs: BUILD_LIMIT_MS })
}

/** A flake URL that pins the folder's content. */
export async function lockedUrl(bed: Bed, dir: string): Promise<string> {
  const { stdout } = await bed.run('nix', ['hash', 'path', '--type', 'sha256', '--sri', dir])
  return `path:${dir}?narHash=${encodeURIComponent(stdout.trim())}`
}

/** The pull of a pod whose annotations tie the image to the flake's one package. */
export function pullOf(image: string, flakeUrl: string): Pull {
  return recipePull({ image, flakeUrl, packageName: 'image' })
}

/** Has a small image made through the shim, for calls to ask after. */
export async function pullSmallImage(bed: Bed, shim: Shim): Promise<string> {
  const image = 'bench/small:1'
  const archive = join(bed.dir, 'small.tar')
  await writeArchive(archive, image, { layers: 1, filesPerLayer: 1, bytesPerFile: 1000 })
  const flake = await writeFlake(bed, 'small', `cp ${archive} $out`)
  await bed.cri(shim.socket).pullImage(pullOf(image, `path:${flake}`))
  return image
}
