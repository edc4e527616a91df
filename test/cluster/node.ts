import { type Bed, startBed } from '../node/bed.ts'
import type { Daemon } from '../node/daemon.ts'
import { NEWER_CONTAINERD } from '../node/programs.ts'
import type { Shim, ShimOptions } from '../node/shim.ts'
import { claimSubnet } from './claims.ts'
import { createKubelet } from './kubelet.ts'

/** containerd, Nix, shim and kubelet with everything of their own. Each part can be stopped, killed and started again. */
export interface ClusterNode extends AsyncDisposable {
  readonly name: string
  readonly bed: Bed
  readonly kubelet: Daemon
  /** What the kubelet pulls through. Throws on a node that was made without. */
  readonly shim: Shim
}

export interface NodeOptions {
  /** Put over the KubeletConfiguration, key by key. */
  readonly kubeletConfig?: Readonly<Record<string, unknown>>
  readonly shim?: ShimOptions
  /** The kubelet pulls straight from containerd. */
  readonly withoutShim?: boolean
}

export interface NodePlan extends NodeOptions {
  readonly name: string
  /** The kubelet's. */
  readonly kubeconfig: string
  /** Called once the node has ended. */
  readonly onEnd: () => Promise<void>
}

/** Starts all parts of a node; it is known to the API server, and perhaps not yet Ready, when this resolves. */
export async function startNode(plan: NodePlan): Promise<ClusterNode> {
  const bed = await startBed({ containerd: { programs: NEWER_CONTAINERD.dir, network: await podNetwork() } })
  try {
    return await startParts(bed, plan)
  } catch (error) {
    await bed[Symbol.asyncDispose]()
    throw error
  }
}

async function startParts(bed: Bed, plan: NodePlan): Promise<ClusterNode> {
  const [shim] = await Promise.all([plan.withoutShim ? undefined : bed.startShim(plan.shim), bed.importPauseImage()])
  const { name: nodeName, kubeconfig, kubeletConfig: config } = plan
  const kubelet = await createKubelet(bed, { nodeName, kubeconfig, config, imageSocket: shim?.socket })
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

/** A pair of virtual interfaces for each pod: they end with the pod, and nothing else is set up on the machine. */
async function podNetwork(): Promise<object> {
  const ipam = { type: 'host-local', subnet: await claimSubnet(), routes: [{ dst: '0.0.0.0/0' }] }
  return { cniVersion: '1.0.0', name: 'pods', plugins: [{ type: 'ptp', ipam }] }
}
