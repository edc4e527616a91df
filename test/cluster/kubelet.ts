import { mkdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { stringify } from 'yaml'
import type { Bed } from '../node/bed.ts'
import { createDaemon, type Daemon } from '../node/daemon.ts'
import { kubernetesProgram } from '../node/programs.ts'
import { claimPort } from './claims.ts'
import { waitUntilHealthy } from './health.ts'

export interface KubeletPlan {
  readonly nodeName: string
  readonly kubeconfig: string
  /** The runtime's own unless told otherwise. */
  readonly imageSocket?: string | undefined
  /** Put over the KubeletConfiguration, key by key. */
  readonly config?: Readonly<Record<string, unknown>> | undefined
}

const MOUNTS = join(import.meta.dirname, 'kubelet-mounts.sh')

/** A kubelet on a bed's containerd, not yet started. */
export async function createKubelet(bed: Bed, plan: KubeletPlan): Promise<Daemon> {
  const dir = join(bed.dir, 'kubelet')
  await mkdir(dir)
  await bed.run('sh', [MOUNTS, dir, basename(bed.dir)])
  const port = await claimPort()
  const configPath = join(dir, 'config.yaml')
  await writeFile(configPath, stringify({ ...configuration(bed, dir, port, plan.imageSocket), ...plan.config }))
  const flags = {
    config: configPath,
    kubeconfig: plan.kubeconfig,
    'hostname-override': plan.nodeName,
    'root-dir': join(dir, 'root'),
    'cert-dir': join(dir, 'pki'),
  }
  return createDaemon({
    name: 'kubelet',
    namespace: bed.namespace,
    command: [kubernetesProgram('kubelet'), ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)],
    env: bed.env,
    logPath: join(dir, 'log'),
    ready: signal => waitUntilHealthy(`https://127.0.0.1:${port}/healthz`, signal),
  })
}

/** Where a node's kubelet has its pods write their logs: NAMESPACE_POD_UID/CONTAINER/RESTARTS.log. */
export function podLogsDir(bed: Bed): string {
  return join(bed.dir, 'pod-logs')
}

function configuration(bed: Bed, dir: string, port: number, imageSocket: string | undefined): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    containerRuntimeEndpoint: `unix://${bed.containerdSocket}`,
    ...(imageSocket === undefined ? {} : { imageServiceEndpoint: `unix://${imageSocket}` }),
    // There is no name service; without an address of one it complains about every pod.
    clusterDNS: ['10.0.0.10'],
    serializeImagePulls: false,
    maxParallelImagePulls: 10,
    registryPullQPS: 0,
    // Whoever calls is let in, so it listens on the loopback address alone.
    address: '127.0.0.1',
    port,
    readOnlyPort: 0,
    healthzPort: 0,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    podLogsDir: podLogsDir(bed),
    volumePluginDir: join(dir, 'volume-plugins'),
    // The machine's own cgroups and limits stay as they are. The keeper of the namespace removes cgroups of this name.
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: false,
    cgroupRoot: `/${basename(bed.dir)}`,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    makeIPTablesUtilChains: false,
    // Nothing is evicted or collected for lack of room; zero is refused.
    evictionHard: { 'memory.available': '1Mi', 'nodefs.available': '1Mi', 'imagefs.available': '1Mi' },
    imageGCHighThresholdPercent: 100,
    // A node that is lost is soon known to be (controller-manager.ts).
    nodeStatusUpdateFrequency: '2s',
    nodeLeaseDurationSeconds: 8,
  }
}
