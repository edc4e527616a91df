import { delimiter, join } from 'node:path'
import { SHIM_PROGRAM } from '../../bench/fixtures/node.ts'
import { type Bed, startBed } from '../../test/node/bed.ts'
import { copyExample } from '../../test/node/example.ts'
import { recipePull } from '../../test/node/recipe-pull.ts'
import { installNewerNix, showNewerNix } from '../../test/shim/nix/newer-nix.ts'

export interface NodeVersions {
  /** The folder of containerd and its programs. By default Debian's. */
  readonly containerd?: string
  /** A release of Debian whose Nix replaces the one of this Debian. */
  readonly nixOf?: 'trixie' | 'sid'
}

export interface Tried {
  /** As the programs themselves report it. */
  readonly what: string
  readonly outcome: 'works' | 'fails' | 'untried'
  /** Why it does not work, or is not tried. */
  readonly problem: string
}

/** On a node of these versions: pulls an image that Nix builds, runs it, pulls it again and removes it. */
export async function tryNode({ containerd, nixOf }: NodeVersions): Promise<Tried> {
  const { PATH = '' } = process.env
  // The bed finds the daemon of Nix on the PATH of this process.
  if (nixOf !== undefined) process.env.PATH = join(await installNewerNix(nixOf), 'bin') + delimiter + PATH
  try {
    await using bed = await startBed(containerd === undefined ? {} : { containerd: { programs: containerd } })
    const command = nixOf === undefined ? 'nix' : await showNewerNix(bed, nixOf)
    const what = `containerd ${await containerdVersion(bed)}, ${(await bed.run(command, ['--version'])).stdout.replace('nix (Nix)', 'Nix')}`
    const problem = await useImage(bed, nixOf === undefined ? {} : { command }).catch(String)
    return { what, outcome: problem === '' ? 'works' : 'fails', problem }
  } finally {
    process.env.PATH = PATH
  }
}

async function containerdVersion(bed: Bed): Promise<string> {
  return (await bed.cri().version()).runtimeVersion.replace(/^v|[~+].*/g, '')
}

async function useImage(bed: Bed, nix: { readonly command?: string }): Promise<string> {
  const shim = await bed.startShim({ ...SHIM_PROGRAM, config: { nix: { user: bed.buildUser.name, ...nix } } })
  const { url: flakeUrl } = await copyExample('hello', bed.dir)
  const recipe = { image: 'registry.example/versions/hello:1', flakeUrl, packageName: 'image' }
  const kubelet = bed.cri(shim.socket)
  const id = await kubelet.pullImage(recipePull(recipe))
  const { output, exitCode } = await bed.runPod({ imageId: id })
  if (exitCode !== 0 || !output.includes('Hello')) return `the container ended with ${exitCode}: ${output}`
  if ((await kubelet.pullImage(recipePull(recipe))) !== id) return 'another pull has another image'
  await kubelet.removeImage(recipe.image)
  const left = (await kubelet.listImages()).filter(({ repoTags }) => repoTags.includes(recipe.image))
  return left.length === 0 ? '' : 'the image is still there after its removal'
}
