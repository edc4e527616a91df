import type { Cluster } from '../../cluster/cluster.ts'
import { useCluster } from '../../cluster/use-cluster.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { addGate, copyExample, type Example, lockExample } from '../../node/example.ts'
import type { PodRecipe } from '../../node/recipe-pull.ts'
import { type SlowCache, startSlowCache } from '../../node/slow-cache.ts'
import { type ConnectedShim, startConnectedShim } from './shim-with-cluster.ts'

/** A node whose shim is connected to a cluster, and flakes to build there. */
export interface ClusterBed extends AsyncDisposable {
  readonly bed: Bed
  readonly cluster: Cluster
  /** Asked by every build of the node. */
  readonly slowCache: SlowCache
  readonly connected: ConnectedShim
  readonly formats: Example
  readonly failures: Example
  /** `gated` and `gated-stream` of `formats` continue when a file of that path exists. */
  readonly gate: string
  /** A recipe from `formats` by default, with an image that the policy allows. */
  recipeOf(name: string, packageName: string, flakeUrl?: string): PodRecipe
}

export async function startClusterBed(): Promise<ClusterBed> {
  const slowCache = await startSlowCache()
  const nixSettings = { substituters: slowCache.url, 'require-sigs': 'false' }
  const [bed, cluster] = await Promise.all([startBed({ nixSettings }), useCluster()])
  try {
    return await startParts({ bed, cluster, slowCache })
  } catch (error) {
    await Promise.all([bed, cluster, slowCache].map(part => part[Symbol.asyncDispose]()))
    throw error
  }
}

interface Parts {
  readonly bed: Bed
  readonly cluster: Cluster
  readonly slowCache: SlowCache
}

async function startParts({ bed, cluster, slowCache }: Parts): Promise<ClusterBed> {
  const unlocked = await copyExample('formats', bed.dir)
  const gate = await addGate(unlocked)
  const formats = await lockExample(unlocked, bed.run)
  const failures = await lockExample(await copyExample('failures', bed.dir), bed.run)
  const policy = [
    { namespaces: ['*'], images: ['registry.example/cluster/**'], flakes: ['path:/**'] },
    { namespaces: ['*'], images: ['nix:0/nix/store/*'] },
  ]
  const connected = await startConnectedShim(cluster, bed, {
    config: { policy, nix: { user: bed.buildUser.name, maxBuilds: 4 } },
  })
  return {
    ...{ bed, cluster, slowCache, connected, formats, failures, gate },
    recipeOf: (name, packageName, flakeUrl = formats.url) => ({
      image: `registry.example/cluster/${name}:1`,
      flakeUrl,
      packageName,
    }),
    async [Symbol.asyncDispose]() {
      await connected[Symbol.asyncDispose]()
      await bed[Symbol.asyncDispose]()
      await cluster[Symbol.asyncDispose]()
      await slowCache[Symbol.asyncDispose]()
    },
  }
}
