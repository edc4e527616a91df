import { existsSync } from 'node:fs'
import type { Logger } from 'pino'
import { lazy } from '../lib/async/lazy.ts'
import { RetryableError } from '../lib/errors.ts'
import { version } from '../lib/version.ts'
import type { Policy } from '../recipes/policy/policy.ts'
import { hostSystem } from '../recipes/system.ts'
import type { Cluster } from './cluster/cluster.ts'
import type { Config } from './config/config.ts'
import { isFetchOnly } from './config/config-schema.ts'
import type { ContainerdImages } from './containerd/image-records.ts'
import { checkLinking } from './import/check-linking.ts'
import type { ImporterIdentity } from './import/identity.ts'
import type { LinkingReport } from './import/image/contract.ts'
import type { Metrics, MetricsOptions } from './metrics/metrics.ts'
import type { CollectionOptions } from './nix/builder.ts'
import { storeRoom } from './nix/collect/store-room.ts'
import { isStoreLow, watchDisk } from './nix/collect/watch-disk.ts'
import type { LogFolder } from './nix/log/log-folder.ts'
import type { PathSharing } from './nix/sharing.ts'
import { credentialsFolder } from './nix/user/state-dir.ts'
import type { StreamHandler } from './proxy/contract.ts'
import type { ImageRecords, Stages } from './pull/contract.ts'
import type { OwnStoreOptions } from './share/own-store.ts'
import type { Sharing } from './share/sharing.ts'
import type { WatchStatusOptions } from './status/watch-status.ts'

// Parts of the daemon that cost memory. Each is loaded when it is first needed, or not at all if the config has no use for it.

export interface ImagesPart {
  readonly images: () => Promise<ContainerdImages>
  close(): void
}

/** Connects to containerd when an image is looked up for the first time. */
export function imagesPart({ containerd, import: { layers } }: Config): ImagesPart {
  let made: ContainerdImages | undefined
  let isClosed = false
  const images = lazy(async () => {
    const { createContainerdImages } = await import('./containerd/image-records.ts')
    const { address, snapshotter } = containerd
    made = createContainerdImages({ address, form: { snapshotter, layers } })
    if (isClosed) made.close()
    return made
  })
  return {
    images,
    close() {
      isClosed = true
      made?.close()
    },
  }
}

export interface StagesOptions {
  readonly config: Config
  readonly logs: LogFolder
  readonly images: () => Promise<ImageRecords>
  /** Whether there is memory for a process that starts before it is needed. */
  readonly isIdle: () => boolean
  readonly linking: LinkingIdentity
  /** Undefined if this node shares nothing. */
  readonly sharing: (() => Promise<PathSharing>) | undefined
  /** Called after each garbage collection. */
  readonly onCollection: CollectionOptions['onEnd']
  /** Aborted when the shim stops. */
  readonly stopping: AbortSignal
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly logger: Logger
}

/** The identity of this importer, and the callback that gets the way in which layers got into containerd. */
export interface LinkingIdentity {
  readonly identity: ImporterIdentity
  readonly onLinking: (linking: LinkingReport) => void
}

/** Makes the builder with the first pull: the shim forwards calls even while builds are impossible. */
export function stagesPart({
  config,
  logs,
  images,
  isIdle,
  linking,
  sharing,
  onCollection,
  stopping,
  env,
  logger,
}: StagesOptions): () => Promise<Stages> {
  const { nix, stateDir, containerd, share } = config
  return lazy(async () => {
    const { createBuilder } = await import('./nix/builder.ts')
    const { createImporter } = await import('./import/importer.ts')
    const builder = await createBuilder({
      stateDir,
      logs,
      nix: {
        command: nix.command,
        user: nix.user,
        maxBuilds: isFetchOnly(nix) ? 0 : nix.maxBuilds,
        timeoutMs: nix.timeout,
        maxEvalMemory: nix.maxEvalMemory,
        options: nix.options,
        credentials: nix.credentials,
      },
      collection: collectionOf(config, { onEnd: onCollection, stopping }),
      sharing: await sharing?.(),
      share: {
        stopping,
        ...(share && { copyTimeoutMs: share.copyTimeout }),
        ...(share?.publicKeyFile !== undefined && { publicKeyFile: share.publicKeyFile }),
        ...(share?.push !== undefined && { push: share.push }),
      },
      isIdle,
      logger,
      env,
    })
    const importer = createImporter({
      containerd: { address: containerd.address, snapshotter: containerd.snapshotter },
      stateDir,
      layers: config.import.layers,
      trustStore: config.import.trustStore,
      queryClosure: (path, { signal }) => builder.pathInfo([path], { recursive: true, waitForDaemon: true, signal }),
      onLinking: linking.onLinking,
      identity: linking.identity,
      logger,
    })
    return { builder, importer, images: await images() }
  })
}

/** Undefined if the shim never collects. One that may build nothing leaves the store alone. */
function collectionOf(
  { nix: { collectGarbage }, policy }: Config,
  rest: Pick<CollectionOptions, 'onEnd' | 'stopping'>,
): CollectionOptions | undefined {
  const { when, ...limits } = collectGarbage
  return when === 'never' || policy.length === 0 ? undefined : { ...limits, always: when === 'always', ...rest }
}

export interface DiskPart {
  /** Whether the shim collects garbage, and should do so now. */
  isLow(): Promise<boolean>
  /** Collects garbage whenever the disk of the store is low. */
  watch(options: { readonly stages: () => Promise<Stages>; readonly signal: AbortSignal }): Promise<void>
}

/** The disk of the Nix store. A shim that may build nothing leaves it alone. */
export function diskPart({ nix: { collectGarbage }, policy }: Config): DiskPart {
  const { when, ...limits } = collectGarbage
  const isIdle = when === 'never' || policy.length === 0
  return {
    isLow: async () => !isIdle && isStoreLow(limits),
    async watch({ stages, signal }) {
      if (isIdle) return
      const collect = async () => (await stages()).builder.collectGarbage({ isNew: false })
      // Builds are impossible then. The next pull says why.
      await watchDisk(limits, () => collect().catch(() => {}), signal)
    },
  }
}

export interface ClusterPartOptions {
  readonly config: Config
  readonly policy: Policy
  readonly images: () => Promise<ImageRecords>
  readonly logger: Logger
}

/** Undefined if the config has no `kubernetes`. Resolves to undefined if the cluster's side cannot be made: the shim works without it. */
export function clusterPart({
  config,
  policy,
  images,
  logger,
}: ClusterPartOptions): (() => Promise<Cluster | undefined>) | undefined {
  const { kubernetes, nix, share, stateDir } = config
  if (!kubernetes) return undefined
  const load = lazy(async () => {
    const { createCluster } = await import('./cluster/cluster.ts')
    return createCluster({
      kubeconfig: kubernetes.kubeconfig,
      nodeName: kubernetes.nodeName,
      leaseMs: kubernetes.leaseDuration,
      lookupMs: kubernetes.lookupTimeout,
      stateDir,
      images,
      policy,
      shimVersion: version(),
      system: hostSystem(),
      layerMode: config.import.layers,
      store: share && (await ownStore({ ...share, fetchOnly: isFetchOnly(nix), logger })),
      logger,
    })
  })
  return () => load().catch(err => void logger.error({ err }, 'the cluster cannot be used'))
}

async function ownStore(options: OwnStoreOptions) {
  const { createOwnStore } = await import('./share/own-store.ts')
  return createOwnStore(options)
}

export interface SharingPartOptions {
  readonly config: Config
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly cluster: (() => Promise<Cluster | undefined>) | undefined
  readonly logger: Logger
}

export interface SharingPart {
  readonly sharing: () => Promise<PathSharing>
  /** Waits until other nodes know that this one no longer builds, for at most that time. */
  close(limitMs: number): Promise<void>
}

/** Undefined if the config has no `share`. */
export function sharingPart({ config, env, cluster, logger }: SharingPartOptions): SharingPart | undefined {
  const { kubernetes, nix, share } = config
  if (!share) return undefined
  let made: Sharing | undefined
  const sharing = lazy(async () => {
    const { createSharing } = await import('./share/sharing.ts')
    made = createSharing({
      kube: cluster && (async () => connected(await cluster()).kube()),
      node: kubernetes?.nodeName ?? '',
      serves: share.address !== undefined,
      pushes: share.push !== undefined,
      fetchOnly: isFetchOnly(nix),
      stores: share.stores,
      waitMs: share.wait,
      copyMs: share.copyTimeout,
      env,
      logger,
    })
    return made
  })
  return { sharing, close: async limitMs => made?.close(limitMs) }
}

function connected(cluster: Cluster | undefined): Cluster {
  if (cluster) return cluster
  throw new RetryableError('ClusterAway', 'the cluster cannot be used')
}

/** Undefined if the config has no `metrics`. */
export async function metricsPart(
  { metrics, nix }: Config,
  { shim, images, pullLog }: Pick<MetricsOptions, 'shim' | 'images' | 'pullLog'>,
): Promise<Metrics | undefined> {
  if (!metrics) return undefined
  const { createMetrics } = await import('./metrics/metrics.ts')
  const store = { room: storeRoom, limits: nix.collectGarbage }
  return createMetrics({ listen: metrics.address, shim, images, pullLog, store })
}

/** `enbi.v1alpha1.Status/Watch`. */
export function statusPart(options: WatchStatusOptions): StreamHandler {
  const load = lazy(async () => {
    const { createWatchStatus } = await import('./status/watch-status.ts')
    return createWatchStatus(options)
  })
  return async function* watchStatus(call) {
    yield* (await load())(call)
  }
}

export interface StartOptions {
  readonly config: Config
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly logger: Logger
}

/** Places credentials if the config names any, and removes those that an earlier config named. */
export async function placeCredentials({ config, env, logger }: StartOptions): Promise<void> {
  const { nix, stateDir } = config
  if (Object.keys(nix.credentials).length === 0 && !existsSync(credentialsFolder(stateDir))) return
  const { placeAtStart } = await import('./nix/user/credentials.ts')
  await placeAtStart({ stateDir, nix, env, logger })
}

export interface LinkingCheckOptions {
  readonly config: Config
  readonly linking: LinkingIdentity
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Logs whether layers can be linked, if the policy has rules, so that administrators know before the first import. */
export async function reportLinking({ config, linking, signal, logger }: LinkingCheckOptions): Promise<void> {
  if (config.policy.length === 0) return
  const { containerd, stateDir } = config
  const { trustStore } = config.import
  const { identity, onLinking } = linking
  try {
    const report = await checkLinking({ containerd, stateDir, trustStore, identity, signal })
    if (report) onLinking(report)
  } catch (err) {
    if (!signal.aborted) logger.warn({ err }, 'the check whether layers of store paths can be linked has failed')
  }
}
