import { release } from 'node:os'
import { startBed } from '../test/node/bed.ts'
import { NEWER_CONTAINERD } from '../test/node/programs.ts'
import { CRI_TOOLS, KUBERNETES } from '../test/setup/go/programs.mjs'

/** One line with the versions that the parts of the run have in common. */
export async function describeVersions(): Promise<string> {
  await using bed = await startBed({ without: ['containerd', 'nix'] })
  const { stdout: nix } = await bed.run('nix', ['--version'])
  return [
    `cri-tools ${numberIn(CRI_TOOLS.version)}`,
    `containerd ${numberIn(NEWER_CONTAINERD.version)}`,
    `Nix ${numberIn(nix)}`,
    `Kubernetes ${numberIn(KUBERNETES.version)}`,
    `Node ${process.versions.node}`,
    `Linux ${numberIn(release())}`,
  ].join(', ')
}

/** The first version number in the text. */
function numberIn(text: string): string {
  return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? text
}
