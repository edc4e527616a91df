import { type Bed, type BedOptions, startBed } from '../node/bed.ts'
import type { Daemon } from '../node/daemon.ts'
import { NEWER_CONTAINERD } from '../node/programs.ts'
import type { Shim, ShimOptions } from '../node/shim.ts'
import { claimSubnet } from './claims.ts'
import { createKubelet, type ServedKubelet } from './kubelet.ts'

/** A node with its own containerd, Nix, shim and kubelet. Each part can be stopped, killed and restarted. */
export interface ClusterNode extends AsyncDisposable {
  readonly name: string
  readonly bed: Bed
  readonly kubelet: Daemon
  /** The kubelet's image service. Throws if the node was started without a shim. */
  readonly shim: Shim
}

export interface NodeOptions extends Pick<BedOptions, 'nixSettings' | 'storeDisk'> {
  /** Overrides keys of the KubeletConfiguration. */
  readonly kubeletConfig?: Readonly<Record<string, unknown>>
  readonly shim?: ShimOptions
  /** The kubelet pulls directly from containerd, and no Nix runs. */
  readonly withoutShim?: boolean
  /** Folder with the `hosts.toml` of containerd's registries. */
  readonly mirrors?: string
}

export interface NodePlan extends NodeOptions {
  readonly name: string
  readonly served?: ServedKubelet | undefined
  /** Path of the kubelet's kubeconfig file. */
  readonly kubeconfig: string
  /** Called after the node has ended. */
  readonly onEnd: () => Promise<void>
}

/** Starts all parts of a node. When it resolves, the API server knows the node, which may not be Ready yet. */
export async function startNode(plan: NodePlan): Promise<ClusterNode> {
  const { mirrors, nixSettings, storeDisk, withoutShim } = plan
  const containerd = { programs: NEWER_CONTAINERD.dir, network: await podNetwork(), mirrors }
  const bed = await startBed({ nixSettings, storeDisk, containerd, without: withoutShim ? ['nix'] : [] })
  try {
    return await startParts(bed, plan)
  } catch (error) {
    await bed[Symbol.asyncDispose]()
    throw error
  }
}

async function startParts(bed: Bed, plan: NodePlan): Promise<ClusterNode> {
  const [shim] = await Promise.all([plan.withoutShim ? undefined : bed.startShim(plan.shim), bed.importPauseImage()])
  const { name: nodeName, kubeconfig, kubeletConfig: config, served } = plan
  const kubelet = await createKubelet(bed, { nodeName, kubeconfig, config, served, imageSocket: shim?.socket })
  await kubelet.start()
  return {
    name: nodeName,
    bed,
    kubelet,
    get shim() {
      if (shim === undefined) throw new Error(`${nodeName} has no shim`)
      return shim
    },
    async [Symbol.asyncDispose]() {
      await bed[Symbol.asyncDispose]()
      await plan.onEnd()
    },
  }
}

/** Each pod gets a pair of virtual interfaces, which ends with it. The machine's network stays unchanged. */
export async function podNetwork(): Promise<object> {
  const ipam = { type: 'host-local', subnet: await claimSubnet(), routes: [{ dst: '0.0.0.0/0' }] }
  return { cniVersion: '1.0.0', name: 'pods', plugins: [{ type: 'ptp', ipam }] }
}
