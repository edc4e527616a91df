import { existsSync } from 'node:fs'
import type { Logger } from 'pino'
import { lazy } from '../lib/async/lazy.ts'
import { createLogger } from '../lib/logger.ts'
import { notifySystemd } from '../lib/socket/systemd-notify.ts'
import { takeSystemdSocket } from '../lib/socket/systemd-socket.ts'
import { version } from '../lib/version.ts'
import { createNames } from '../recipes/names/names.ts'
import { createPolicy } from '../recipes/policy/policy.ts'
import { hostSystem } from '../recipes/system.ts'
import type { Cluster } from './cluster/cluster.ts'
import { type Config, readConfig } from './config/config.ts'
import type { QueryClosure } from './import/image/contract.ts'
import { checkLinking, createLinkingTeller } from './import/worker/check-linking.ts'
import { createIdentity, type ImporterIdentity } from './import/worker/identity.ts'
import type { LinkingReport } from './import/worker/linking-report.ts'
import type { Metrics, MetricsOptions } from './metrics/metrics.ts'
import { credentialsFolder, layOut } from './nix/user/state-dir.ts'
import { createProxy } from './proxy/proxy.ts'
import type { ImageRecords } from './pull/contract.ts'
import { createImageService } from './pull/image-service.ts'
import { isReading } from './pull/progress.ts'
import { createPullLog } from './pull/pull-log.ts'
import type { Stages } from './pull/pull-recipe.ts'
import type { ShimFacts } from './status/status-message.ts'
import { createStatusStream, STATUS_PATH } from './status/status-stream.ts'

export interface ServeSurroundings {
  readonly env: NodeJS.ProcessEnv
  /** Aborted to stop: no more calls are taken, running ones may end. */
  readonly signal: AbortSignal
}

/** Serves until `signal` aborts. Throws ConfigInvalid or ListenAddressInUse; all else is survived. */
export async function serve(configFile: string, { env, signal }: ServeSurroundings): Promise<void> {
  const config = await readConfig(configFile)
  const logger = createLogger(config.log.level)
  const connections: { close(): void }[] = []
  const images = lazy(async () => {
    const { createContainerdImages } = await import('./containerd/image-records.ts')
    const records = createContainerdImages({
      address: config.containerd.address,
      form: { snapshotter: config.containerd.snapshotter, layers: config.import.layers },
    })
    connections.push(records)
    return records
  })
  const cluster = joinCluster({ config, images, logger })
  const shim = shimFacts(config)
  const linking = { identity: createIdentity(config.stateDir), onLinking: createLinkingTeller(logger) }
  const uncounted = createPullLog()
  const isIdle = () => !uncounted.runs().some(({ progress }) => isReading(progress))
  const stages = lazy(() => createStages({ config, images, env, logger, isIdle, ...linking }))
  const metrics = await countIfTold(config, { shim, images, pullLog: uncounted })
  const { pullLog = uncounted, onCall } = metrics ?? {}
  const service = createImageService({
    policy: createPolicy(config.policy),
    names: createNames({ rules: config.names, flakeNames: config.flakeNames, system: hostSystem() }),
    images,
    stages,
    system: hostSystem(),
    pullLog,
    cluster,
    abandonAfterMs: config.nix.abandonAfter,
    rememberFailuresMs: config.nix.rememberFailures,
    maxPerNamespace: config.nix.maxQueuedPerNamespace,
    logger,
  })
  const status = createStatusStream({
    shim,
    pullLog,
    images,
    builder: async () => (await stages()).builder,
    stateDir: config.stateDir,
    stopping: signal,
  })
  const streams = new Map([...service.streams, [STATUS_PATH, status]])
  const { address: upstream, imageService } = config.containerd
  const proxy = createProxy({ upstream, imageService, ...service, streams, onCall, logger })

  const fd = takeSystemdSocket(env)
  await proxy.listen(fd === undefined ? { path: config.listen } : { fd })
  logger.info({ listen: fd === undefined ? config.listen : `fd ${fd}`, upstream, imageService }, 'serving')
  await notifySystemd('READY=1', { env, logger })
  const metricsServed = metrics?.serve({ signal, logger })

  cluster?.()
    .then(side => side.start(service.pullImage))
    .catch(err => logger.error({ err }, 'the cluster cannot be joined'))

  if (mayHaveCredentials(config))
    import('./nix/user/place-at-start.ts').then(({ placeAtStart }) => placeAtStart({ ...config, env, logger }))
  if (config.policy.length > 0) sayHowLayersGetIn({ ...config, ...linking, signal, logger })

  await aborted(signal)
  logger.info({ reason: signal.reason }, 'stopping')
  await notifySystemd('STOPPING=1', { env, logger })
  await proxy.close({ graceMs: config.shutdownTimeout })
  await service.close()
  await (await cluster?.())?.close(TELL_LIMIT_MS)
  await metricsServed
  for (const connection of connections) connection.close()
  logger.info('stopped')
}

/** The cluster is told of the end for this long at most. */
const TELL_LIMIT_MS = 2000

function shimFacts({ containerd, policy, nix, stateDir }: Config): ShimFacts {
  return {
    version: version(),
    startedAt: Date.now(),
    containerd: containerd.address,
    rules: policy.length,
    maxBuilds: nix.maxBuilds,
    logs: layOut(stateDir).logs,
  }
}

/** What places them costs memory: it is loaded only if there are any, or were. */
function mayHaveCredentials({ nix, stateDir }: Config): boolean {
  return Object.keys(nix.credentials).length > 0 || existsSync(credentialsFolder(stateDir))
}

/** What counts and tells costs memory: it is loaded only where it is wanted. */
async function countIfTold({ metrics }: Config, options: Omit<MetricsOptions, 'listen'>): Promise<Metrics | undefined> {
  if (!metrics) return undefined
  const { createMetrics } = await import('./metrics/metrics.ts')
  return createMetrics({ ...options, listen: metrics.address })
}

type ClusterOptions = Pick<StagesOptions, 'config' | 'images' | 'logger'>

/** What a cluster wants costs memory: it is loaded only where there is one, and after the proxy serves. */
function joinCluster({ config, images, logger }: ClusterOptions): (() => Promise<Cluster>) | undefined {
  const { kubernetes, stateDir } = config
  if (!kubernetes) return undefined
  return lazy(async () => {
    const { createCluster } = await import('./cluster/cluster.ts')
    const { leaseDuration, lookupTimeout, unwantedCheck, ...rest } = kubernetes
    const times = { leaseMs: leaseDuration, lookupMs: lookupTimeout, unwantedCheckMs: unwantedCheck }
    return createCluster({ ...rest, ...times, stateDir, images, system: hostSystem(), logger })
  })
}

interface StagesOptions {
  readonly config: Config
  readonly images: () => Promise<ImageRecords>
  readonly env: NodeJS.ProcessEnv
  readonly logger: Logger
  readonly isIdle: () => boolean
  readonly identity: ImporterIdentity
  readonly onLinking: (linking: LinkingReport) => void
}

/** Calls are passed on even where builds are impossible; so what builds is loaded and made when it is first wanted. */
async function createStages({ config, images, env, logger, isIdle, ...linking }: StagesOptions): Promise<Stages> {
  const { nix, stateDir, containerd } = config
  const { createBuilder } = await import('./nix/builder.ts')
  const { createImporter } = await import('./import/importer.ts')
  const builder = await createBuilder({ stateDir, nix: { ...nix, timeoutMs: nix.timeout }, isIdle, logger, env })
  const queryClosure: QueryClosure = (path, { signal }) =>
    builder.pathInfo([path], { recursive: true, waitForDaemon: true, signal })
  const importer = createImporter({
    containerd,
    stateDir,
    ...config.import,
    queryClosure,
    logger,
    ...linking,
  })
  return { builder, importer, images: await images() }
}

type LinkingOptions = Pick<Config, 'containerd' | 'stateDir' | 'import'> &
  Pick<StagesOptions, 'identity' | 'onLinking' | 'logger'> & { readonly signal: AbortSignal }

/** The first image would find out, too; whoever sets a node up wants to know before. */
async function sayHowLayersGetIn({
  onLinking,
  signal,
  logger,
  import: { trustStore },
  ...check
}: LinkingOptions): Promise<void> {
  try {
    const linking = await checkLinking({ ...check, trustStore, signal })
    if (linking) onLinking(linking)
  } catch (err) {
    if (!signal.aborted) logger.warn({ err }, 'whether layers of store paths can be linked could not be found out')
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
