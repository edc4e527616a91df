import { basename } from 'node:path'
import type { ProcessInfo } from '../probes/processes.ts'
import { isK3s, K3S_FILES, settingsOfK3s } from './k3s.ts'
import { type Distribution, type KubeletSettings, settingsOfKubelet } from './settings.ts'

/**
 * The settings of the running kubelet, or of the k3s that it is part of; undefined if there is none. Throws if files
 * cannot be read.
 */
export async function findKubelet(
  processes: readonly ProcessInfo[],
  k3sFiles = K3S_FILES,
): Promise<KubeletSettings | undefined> {
  const process = kubeletProcess(processes)
  if (!process) return undefined
  return isKubelet(process)
    ? settingsOfKubelet(process.args, distributionOf(process))
    : settingsOfK3s(process.args, k3sFiles)
}

/** The process of the kubelet, or of the k3s that it is part of. */
export function kubeletProcess(processes: readonly ProcessInfo[]): ProcessInfo | undefined {
  return processes.find(isKubelet) ?? processes.find(({ args }) => isK3s(args))
}

/** A process that contains a kubelet whose settings are not read here. */
export function otherKubelet(processes: readonly ProcessInfo[]): Distribution | undefined {
  return processes.map(distributionOf).find(found => found !== undefined)
}

const DISTRIBUTIONS: readonly (Distribution & { readonly is: (program: string) => boolean })[] = [
  {
    name: 'RKE2',
    is: program => program.startsWith('/var/lib/rancher/rke2/'),
    place: flags =>
      `kubelet-arg: [${flags.join(', ')}] in /etc/rancher/rke2/config.yaml, and restart rke2-server or rke2-agent`,
  },
  {
    name: 'k0s',
    is: program => program === '/var/lib/k0s/bin/kubelet',
    place: flags => `--kubelet-extra-args="${flags.map(flag => `--${flag}`).join(' ')}" of k0s worker, and restart it`,
  },
  {
    name: 'microk8s',
    is: program => basename(program) === 'kubelite',
    place: flags =>
      `${flags.map(flag => `--${flag}`).join(' ')} in /var/snap/microk8s/current/args/kubelet, and restart microk8s`,
  },
]

/** undefined for kubeadm's kubelet, whose files people write. */
function distributionOf({ args: [program = ''] }: ProcessInfo): Distribution | undefined {
  return DISTRIBUTIONS.find(({ is }) => is(program))
}

/** NixOS gives wrapped programs such a name. */
export function isKubelet({ args: [program = ''] }: ProcessInfo): boolean {
  return ['kubelet', '.kubelet-wrapped'].includes(basename(program))
}
