import { basename } from 'node:path'
import type { ProcessInfo } from '../probes/processes.ts'

/** A distribution that writes its kubelet's files itself. */
export interface Distribution {
  readonly name: string
  /** Where to set flags of the kubelet, shown to people. */
  readonly place: (flags: readonly string[]) => string
}

const KNOWN: readonly (Distribution & { readonly is: (program: string) => boolean })[] = [
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
export function distributionOf({ args: [program = ''] }: ProcessInfo): Distribution | undefined {
  return KNOWN.find(({ is }) => is(program))
}
