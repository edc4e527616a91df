import { randomUUID } from 'node:crypto'
import type { Server } from 'node:http'
import { hostname } from 'node:os'
import type { Logger } from 'pino'
import { createKube } from '../kube/client/client.ts'
import { leaderElection } from '../kube/leader-election.ts'
import { CONTROLLER, SYSTEM_NAMESPACE } from '../kube/resources/names.ts'
import { type HttpPlan, serveHttp } from '../lib/http/serve-http.ts'
import { createLogger } from '../lib/logger.ts'
import type { ControllerOptions } from './flags.ts'
import { followState } from './followed-state.ts'
import { createHealth } from './health.ts'
import { leadCluster } from './lead.ts'
import { createMetrics } from './metrics.ts'
import { type ClusterState, createClusterState } from './state/cluster-state.ts'

/** Runs until the signal aborts. Throws ConfigInvalid or ListenAddressInUse, and retries after any other failure. */
export async function runController(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const logger = createLogger(options.logLevel)
  const health = createHealth(createKube({ kubeconfig: options.kubeconfig, component: CONTROLLER }))
  const metrics = createMetrics()
  const host = hostname()
  /** Undefined while this replica does not lead. */
  let leading: ClusterState | undefined
  const followed = followState(signal =>
    createClusterState({
      ...{ kube: health.kube, signal, logger },
      repels: options.nodeRepel,
      tolerations: options.tolerate,
    }),
  )
  const servers = await serveAll(options, {
    registry: metrics.registry,
    obstacles: () => [
      ...health.problems(),
      ...(leading?.unsynced() ?? []).map(kind => `not all ${kind} have been read yet`),
    ],
    state: () => (leading ? 'leading' : 'another replica leads'),
    logger,
  })
  try {
    await leaderElection({
      kube: health.kube,
      lease: { namespace: SYSTEM_NAMESPACE, name: CONTROLLER },
      identity: `${host}_${randomUUID()}`,
      leaseMs: options.leaderElectLease,
      renewWithinMs: options.leaderElectRenew,
      retryMs: options.leaderElectRetry,
      async work(lead) {
        leading = followed.get()
        try {
          await leadCluster({ state: leading, kube: health.kube, flags: options, host, metrics, logger }, lead)
        } finally {
          leading = undefined
          health.forgetProblemsOfLead()
        }
      },
      onOther() {
        followed.drop()
        health.forgetProblemsOfWatches()
      },
      signal,
      logger,
    })
    logger.info({ reason: signal.reason }, 'stopping')
  } finally {
    for (const server of servers) end(server)
    await followed.end()
    await health.kube.close()
  }
  logger.info('stopped')
}

async function serveAll(
  { listen, healthListen }: ControllerOptions,
  plan: Omit<HttpPlan, 'listen' | 'setBy'> & { readonly logger: Logger },
): Promise<Server[]> {
  const server = await serveHttp({ ...plan, listen, setBy: '--listen' })
  plan.logger.info({ listen: server.address() }, 'serving /metrics, /healthz and /readyz')
  if (healthListen === undefined) return [server]
  const healthPlan = { ...plan, registry: undefined, listen: healthListen, setBy: '--health-listen' }
  try {
    const healthServer = await serveHttp(healthPlan)
    plan.logger.info({ listen: healthServer.address() }, 'serving /healthz and /readyz')
    return [server, healthServer]
  } catch (error) {
    end(server)
    throw error
  }
}

function end(server: Server): void {
  server.close()
  server.closeAllConnections()
}
