import { chmod, mkdtemp, readlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MergedForm } from '../../../../shim/import/image/store-image.ts'
import type { Bed } from '../../../node/bed.ts'
import {
  type Nix2ContainerFlake,
  nix2containerFlake,
  nix2containerLayers,
  UNKNOWN_DIGESTS,
} from './nix2container-flake.ts'

/** Returns the flake's URL. */
export async function writeNix2ContainerFlake(
  { dir }: Bed,
  digests: readonly string[],
  options?: Nix2ContainerFlake,
): Promise<string> {
  const folder = await mkdtemp(join(dir, 'flake-'))
  await chmod(folder, 0o755)
  await writeFile(join(folder, 'flake.nix'), nix2containerFlake(digests, options))
  return `path:${folder}`
}

/** Digests of the two layers' tars as the form's version of nix2container makes them. */
export async function nix2containerDigests(bed: Bed, form: MergedForm): Promise<string[]> {
  const link = join(bed.dir, 'program')
  await bed.run('nix', ['build', '--out-link', link, `${await writeNix2ContainerFlake(bed, UNKNOWN_DIGESTS)}#program`])
  const layers = nix2containerLayers(await readlink(link), form)
  const program = join(import.meta.dirname, 'print-tar-digests.ts')
  const { stdout } = await bed.run(process.execPath, [program, JSON.stringify(layers)])
  return stdout.split('\n')
}
