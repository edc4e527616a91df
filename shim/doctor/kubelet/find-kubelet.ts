import { basename } from 'node:path'
import type { ProcessInfo } from '../processes.ts'
import { isK3s, K3S_FILES, settingsOfK3s } from './k3s.ts'
import { type KubeletSettings, settingsOfKubelet } from './settings.ts'

/** Of the kubelet that runs here, or of the k3s that it is part of; undefined when there is none. Throws when files cannot be read. */
export async function findKubelet(
  processes: readonly ProcessInfo[],
  k3sFiles = K3S_FILES,
): Promise<KubeletSettings | undefined> {
  const kubelet = processes.find(isKubelet)
  if (kubelet) return settingsOfKubelet(kubelet.args)
  const k3s = processes.find(({ args }) => isK3s(args))
  return k3s && settingsOfK3s(k3s.args, k3sFiles)
}

/** NixOS has wrapped programs under such a name. */
export function isKubelet({ args: [program = ''] }: ProcessInfo): boolean {
  return ['kubelet', '.kubelet-wrapped'].includes(basename(program))
}
