import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { NIXBUILD_PHASES } from '../kube/resources/nixbuild.ts'
import type { WorkQueue } from '../kube/work-queue.ts'
import { addProcessMetrics, createGauges } from '../lib/http/gauges.ts'
import { parseWorkKey, type WorkKind } from './state/work-keys.ts'
import type { NixBuildView } from './views/nixbuild.ts'

/** In seconds. */
const BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10]

export interface Metrics {
  readonly registry: Registry
  /** Runs the work on a key and records its duration and result. */
  measure<T>(key: string, work: () => Promise<T>): Promise<T>
  /** Source of the leader's gauges; undefined while this process does not lead. */
  setLeading(leading: Leading | undefined): void
}

export interface Leading {
  readonly queue: Pick<WorkQueue, 'waiting' | 'busy'>
  readonly builds: () => Iterable<Pick<NixBuildView, 'phase'>>
}

export function createMetrics(): Metrics {
  const registry = new Registry()
  const registers = [registry]
  let leading: Leading | undefined

  const durations = new Histogram({
    name: 'enbi_controller_reconcile_duration_seconds',
    help: 'Time in seconds to reconcile one object, including its writes.',
    labelNames: ['kind'],
    buckets: BUCKETS,
    registers,
  })
  const results = new Counter({
    name: 'enbi_controller_reconcile_total',
    help: 'Reconciles, by kind and result (done, failed).',
    labelNames: ['kind', 'result'],
    registers,
  })
  const gauge = createGauges(registry)
  gauge('enbi_controller_leader', '1 while this process is the leader, otherwise 0.', () => (leading ? 1 : 0))
  gauge('enbi_controller_queue_depth', 'Objects that wait for a worker.', () => leading?.queue.waiting ?? 0)
  gauge('enbi_controller_workers_busy', 'Workers that are busy.', () => leading?.queue.busy ?? 0)
  addProcessMetrics(registry)
  new Gauge({
    name: 'enbi_controller_nixbuilds',
    help: 'NixBuilds in the cluster by status; only the leader has a value above 0.',
    labelNames: ['status'],
    registers,
    collect() {
      for (const phase of NIXBUILD_PHASES) this.set({ status: phase }, 0)
      for (const { phase = 'Pending' } of leading?.builds() ?? []) this.inc({ status: phase })
    },
  })

  async function measure<T>(key: string, work: () => Promise<T>): Promise<T> {
    const kind: WorkKind = parseWorkKey(key).kind
    const end = durations.startTimer({ kind })
    try {
      const value = await work()
      results.inc({ kind, result: 'done' })
      return value
    } catch (error) {
      results.inc({ kind, result: 'failed' })
      throw error
    } finally {
      end()
    }
  }

  return {
    registry,
    measure,
    setLeading: value => {
      leading = value
    },
  }
}
