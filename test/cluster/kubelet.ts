import { mkdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { stringify } from 'yaml'
import type { Bed } from '../node/bed.ts'
import { createDaemon, type Daemon } from '../node/daemon.ts'
import { kubernetesProgram } from '../node/programs.ts'
import { claimPort } from './claims.ts'
import { waitUntilHealthy } from './health.ts'

/** A kubelet that listens on an address of the machine, for one client only. */
export interface ServedKubelet {
  readonly address: string
  /** Path of a self-signed certificate: no other client is let in. */
  readonly clientCertificate: string
}

export interface KubeletPlan {
  readonly nodeName: string
  readonly kubeconfig: string
  /** By default the socket of the container runtime. */
  readonly imageSocket?: string | undefined
  readonly served?: ServedKubelet | undefined
  /** Overrides keys of the KubeletConfiguration. */
  readonly config?: Readonly<Record<string, unknown>> | undefined
}

const MOUNTS = join(import.meta.dirname, 'kubelet-mounts.sh')

/** Creates a kubelet that uses a bed's containerd, without starting it. */
export async function createKubelet(bed: Bed, plan: KubeletPlan): Promise<Daemon> {
  const dir = join(bed.dir, 'kubelet')
  await mkdir(dir)
  await bed.run('sh', [MOUNTS, dir, basename(bed.dir)])
  const [port, healthPort] = [await claimPort(), await claimPort()]
  const configPath = join(dir, 'config.yaml')
  await writeFile(
    configPath,
    stringify({
      ...configuration(bed, dir, port, plan.imageSocket),
      healthzPort: healthPort,
      ...(plan.served && serving(plan.served)),
      ...plan.config,
    }),
  )
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
    ready: signal => waitUntilHealthy(`http://127.0.0.1:${healthPort}/healthz`, signal),
  })
}

/** The folder of a node's pod logs: NAMESPACE_POD_UID/CONTAINER/RESTARTS.log. */
export function podLogsDir(bed: Bed): string {
  return join(bed.dir, 'pod-logs')
}

function serving({ address, clientCertificate }: ServedKubelet): object {
  const authentication = {
    anonymous: { enabled: false },
    webhook: { enabled: false },
    x509: { clientCAFile: clientCertificate },
  }
  return { address, authentication }
}

function configuration(bed: Bed, dir: string, port: number, imageSocket: string | undefined): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    containerRuntimeEndpoint: `unix://${bed.containerdSocket}`,
    ...(imageSocket === undefined ? {} : { imageServiceEndpoint: `unix://${imageSocket}` }),
    // There is no name service, but without an address the kubelet logs a warning for every pod.
    clusterDNS: ['10.0.0.10'],
    serializeImagePulls: false,
    registryPullQPS: 0,
    // The kubelet accepts all clients, so it listens only on the loopback address.
    address: '127.0.0.1',
    port,
    readOnlyPort: 0,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    podLogsDir: podLogsDir(bed),
    volumePluginDir: join(dir, 'volume-plugins'),
    // The kubelet must not change the machine's cgroups and limits. The namespace removes cgroups with this name.
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: false,
    cgroupRoot: `/${basename(bed.dir)}`,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    makeIPTablesUtilChains: false,
    // No pod is evicted and no image collected for lack of disk space. The kubelet rejects zero.
    evictionHard: { 'memory.available': '1Mi', 'nodefs.available': '1Mi', 'imagefs.available': '1Mi' },
    imageGCHighThresholdPercent: 100,
    // Frequent heartbeats, so that a lost node is soon NotReady (controller-manager.ts).
    nodeStatusUpdateFrequency: '2s',
    nodeLeaseDurationSeconds: 8,
  }
}
