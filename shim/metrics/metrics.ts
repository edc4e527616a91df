import { once } from 'node:events'
import type { Logger } from 'pino'
import { Registry } from 'prom-client'
import { addProcessMetrics } from '../../lib/http/gauges.ts'
import type { ListenAddress } from '../../lib/http/listen-address.ts'
import { serveHttp } from '../../lib/http/serve-http.ts'
import type { CallObserver } from '../proxy/contract.ts'
import type { PullReporter } from '../pull/contract.ts'
import type { PullLog } from '../pull/pull-log.ts'
import type { ShimFacts } from '../status/status-message.ts'
import { createCallMetrics } from './call-metrics.ts'
import { addCollectionMetrics, type CollectionMetricsOptions, type CountCollection } from './collection-metrics.ts'
import { addNodeMetrics, type ContainerdImages, createContainerdView } from './node-metrics.ts'
import { countPulls } from './pull-metrics.ts'

export interface MetricsOptions {
  readonly listen: ListenAddress
  readonly images: () => Promise<ContainerdImages>
  readonly shim: ShimFacts
  readonly pullLog: PullLog
  readonly store: CollectionMetricsOptions
}

/** The metrics and the observers that count them. */
export interface Metrics {
  readonly onCall: CallObserver
  readonly reporter: PullReporter
  readonly countCollection: CountCollection
  /**
   * Serves /metrics, /healthz and /readyz until the signal aborts. Never throws: the kubelet depends on the rest of the
   * shim.
   */
  serve(plan: ServePlan): Promise<void>
}

export interface ServePlan {
  readonly signal: AbortSignal
  readonly logger: Logger
}

export function createMetrics({ listen, shim, pullLog, images, store }: MetricsOptions): Metrics {
  const registry = new Registry()
  const containerd = createContainerdView(images)
  addProcessMetrics(registry)
  addNodeMetrics({ shim, containerd }, registry)
  const obstacles = async () => {
    const problem = await containerd.problem()
    return problem === undefined ? [] : [`containerd at ${shim.containerd}: ${problem}`]
  }
  return {
    onCall: createCallMetrics(registry),
    reporter: countPulls(pullLog, registry),
    countCollection: addCollectionMetrics(store, registry),
    async serve({ signal, logger }) {
      try {
        const server = await serveHttp({
          ...{ listen, setBy: 'metrics.address', registry, obstacles },
          state: () => 'serving',
          logger,
        })
        logger.info({ listen: server.address() }, 'serving /metrics, /healthz and /readyz')
        if (!signal.aborted) await once(signal, 'abort')
        server.close()
        server.closeAllConnections()
      } catch (err) {
        logger.error({ err }, 'metrics and health are not served')
      }
    },
  }
}
