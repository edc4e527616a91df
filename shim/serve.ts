import { within } from '../lib/async/bounded-wait.ts'
import { createLogger } from '../lib/logger.ts'
import { addressOf } from '../lib/socket/listen.ts'
import { notifySystemd, takeListenTarget } from '../lib/socket/systemd.ts'
import { version } from '../lib/version.ts'
import { createNames } from '../recipes/names/names.ts'
import { createPolicy } from '../recipes/policy/policy.ts'
import { hostSystem } from '../recipes/system.ts'
import { readConfig } from './config/config.ts'
import { createLinkingLogger } from './import/check-linking.ts'
import { createIdentity } from './import/identity.ts'
import { createLogFolder } from './nix/log/log-folder.ts'
import {
  clusterPart,
  diskPart,
  imagesPart,
  metricsPart,
  placeCredentials,
  reportLinking,
  sharingPart,
  stagesPart,
  statusPart,
} from './parts.ts'
import { createProxy } from './proxy/proxy.ts'
import type { PullOutcome } from './pull/contract.ts'
import { createImageService } from './pull/image-service.ts'
import { createProgressHub, isReading } from './pull/progress.ts'
import { createPullLog } from './pull/pull-log.ts'
import { createReporter } from './pull/reporters.ts'
import { createSharedRuns } from './pull/runs/shared-runs.ts'
import { WATCH_STATUS_PATH } from './wire/paths.ts'

export interface ServeSurroundings {
  readonly env: NodeJS.ProcessEnv
  /** Aborted to stop: the shim takes no more calls and lets running ones end. */
  readonly signal: AbortSignal
}

/** Serves until `signal` aborts. Throws ConfigInvalid or ListenAddressInUse; it survives every other failure. */
export async function serve(configFile: string, { env, signal }: ServeSurroundings): Promise<void> {
  const config = await readConfig(configFile)
  const { containerd, nix, stateDir } = config
  const logger = createLogger(config.log.level)
  const system = hostSystem()
  const logs = createLogFolder({ logDir: config.logDir, stateDir, logger })
  await logs.choose()
  const shim = {
    version: version(),
    startedAt: Date.now(),
    containerd: containerd.address,
    rules: config.policy.length,
    maxBuilds: nix.maxBuilds,
    get logs() {
      return logs.path()
    },
  }

  const { images, close: closeImages } = imagesPart(config)
  const pullLog = createPullLog()
  const metrics = await metricsPart(config, { shim, images, pullLog })
  const linking = { identity: createIdentity(stateDir), onLinking: createLinkingLogger(logger) }
  const isIdle = () => !pullLog.runs().some(({ progress }) => isReading(progress))
  const policy = createPolicy(config.policy)
  const cluster = clusterPart({ config, policy, images, logger })
  const sharing = sharingPart({ config, env, cluster, logger })
  const stages = stagesPart({
    config,
    logs,
    images,
    isIdle,
    linking,
    sharing: sharing?.sharing,
    onCollection: metrics?.countCollection,
    stopping: signal,
    env,
    logger,
  })
  const disk = diskPart(config)
  const hub = createProgressHub()
  const runs = createSharedRuns<PullOutcome>({
    abandonAfterMs: nix.abandonAfter,
    rememberFailuresMs: nix.rememberFailures,
    maxPerNamespace: nix.maxQueuedPerNamespace,
  })
  const service = createImageService({
    policy,
    names: createNames({ rules: config.names, flakeNames: config.flakeNames, system }),
    system,
    images,
    stages,
    runs,
    isDiskLow: disk.isLow,
    holdMs: nix.holdPulls,
    progressOf: pullLog.progressOf,
    reporter: createReporter({ pullLog, metrics: metrics?.reporter, cluster, hub, logger }),
    hub,
    cluster,
    logger,
  })
  const builder = async () => (await stages()).builder
  const status = statusPart({ shim, pullLog, images, builder, stateDir, logs: logs.path, stopping: signal })
  const proxy = createProxy({
    upstream: containerd.address,
    imageService: containerd.imageService,
    intercept: service.intercept,
    streams: new Map([...service.streams, [WATCH_STATUS_PATH, status]]),
    onCall: metrics?.onCall,
    logger,
  })

  const target = takeListenTarget(env, config.listen)
  await proxy.listen(target)
  const { address: upstream, imageService } = containerd
  logger.info({ listen: addressOf(target), upstream, imageService }, 'serving')
  await notifySystemd('READY=1', { env, logger })

  const metricsServed = metrics?.serve({ signal, logger })
  cluster?.()
    .then(side => side?.start(service.pullImage))
    .catch(err => logger.error({ err }, 'the work for the cluster cannot start'))
  placeCredentials({ config, env, logger })
  reportLinking({ config, linking, signal, logger })
  const diskWatched = disk.watch({ stages, signal })

  await aborted(signal)
  logger.info({ reason: signal.reason }, 'stopping')
  await notifySystemd('STOPPING=1', { env, logger })
  await proxy.close({ graceMs: config.shutdownTimeout })
  await runs.close()
  await service.close(CLEAN_UP_LIMIT_MS)
  await within(CLEAN_UP_LIMIT_MS, diskWatched)
  await sharing?.close(RELEASE_LIMIT_MS)
  await (await cluster?.())?.close(REPORT_LIMIT_MS)
  await metricsServed
  closeImages()
  logger.info('stopped')
}

/** Longest time that nix takes to end a garbage collection, and the removal of gc roots. */
const CLEAN_UP_LIMIT_MS = 6000
/** Longest time that the last reports to the cluster take. */
const REPORT_LIMIT_MS = 2000
/** Longest time until other nodes know that this one no longer builds. */
const RELEASE_LIMIT_MS = 2000

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
