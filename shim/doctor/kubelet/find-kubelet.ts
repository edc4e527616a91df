import { basename } from 'node:path'
import type { ProcessInfo } from '../probes/processes.ts'
import { type Distribution, distributionOf } from './distributions.ts'
import { isK3s, K3S_FILES, settingsOfK3s } from './k3s.ts'
import { type KubeletSettings, settingsOfKubelet } from './settings.ts'

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

/** NixOS gives wrapped programs such a name. */
export function isKubelet({ args: [program = ''] }: ProcessInfo): boolean {
  return ['kubelet', '.kubelet-wrapped'].includes(basename(program))
}
