import { cpus, release, totalmem } from 'node:os'
import { startBed } from '../test/node/bed.ts'
import { NEWER_CONTAINERD } from '../test/node/programs.ts'
import { KUBERNETES } from '../test/setup/go/programs.mjs'

/** One line on the machine and on the versions of the programs that the bench runs. */
export async function describeMachine(): Promise<string> {
  await using bed = await startBed({ without: ['containerd', 'nix'] })
  const versionOf = async (program: string) => {
    const { stdout } = await bed.run(program, ['--version'])
    return numberIn(stdout)
  }
  return [
    `${cpus().length} × ${cpus()[0]?.model.trim()}`,
    `${Math.round(totalmem() / 1e9)} GB of memory`,
    `Linux ${numberIn(release())}`,
    `Node ${process.versions.node}`,
    `Nix ${await versionOf('nix')}`,
    `containerd ${await versionOf('containerd')} (in clusters ${numberIn(NEWER_CONTAINERD.version)})`,
    `Kubernetes ${numberIn(KUBERNETES.version)}`,
  ].join(', ')
}

/** The first version number in the text. */
function numberIn(text: string): string {
  return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? text
}
