import { Counter, Histogram, type Registry } from 'prom-client'
import { STATUS } from '../../lib/grpc/status.ts'
import type { CallObserver } from '../proxy/contract.ts'

/** Any client of the socket can call any method: methods beyond this many are counted together. */
const MAX_METHODS = 64
const OTHER: Labels = { grpc_type: 'unary', grpc_service: 'other', grpc_method: 'other' }
/** In seconds: from a call that is passed on to a pull that builds for an hour. */
const BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300, 1800, 3600]

/** Pending durations of one method. When there are this many, they go to prom-client immediately. */
const MAX_PENDING = 256

type Labels = Readonly<Record<'grpc_type' | 'grpc_service' | 'grpc_method', string>>

/** Calls of one method that prom-client does not have yet. */
interface Pending {
  readonly labels: Labels
  started: number
  /** By gRPC status code. */
  readonly ended: number[]
  readonly seconds: number[]
}

/**
 * Counts every call on the socket. Names and labels are those of go-grpc-prometheus, so that existing dashboards work.
 * A call only changes plain numbers: prom-client is slower, and gets them when metrics are scraped.
 */
export function createCallMetrics(registry: Registry): CallObserver {
  const labelNames = ['grpc_type', 'grpc_service', 'grpc_method'] as const
  const common = { registers: [registry], collect: () => flushAll() }
  const started = new Counter({
    ...common,
    name: 'grpc_server_started_total',
    help: 'Calls on the socket, including those that the shim passes on.',
    labelNames,
  })
  const handled = new Counter({
    ...common,
    name: 'grpc_server_handled_total',
    help: 'Calls that have ended, with the status that the caller got.',
    labelNames: [...labelNames, 'grpc_code'],
  })
  const seconds = new Histogram({
    ...common,
    name: 'grpc_server_handling_seconds',
    help: 'Time in seconds from the call to the end of its answer.',
    labelNames,
    buckets: BUCKETS,
  })
  const other = createPending(OTHER)
  const methods = new Map<string, Pending>()

  function pendingOf(path: string): Pending {
    const known = methods.get(path)
    if (known) return known
    const labels = methods.size < MAX_METHODS ? readLabels(path) : undefined
    if (!labels) return other
    const pending = createPending(labels)
    methods.set(path, pending)
    return pending
  }
  function flushAll(): void {
    for (const pending of methods.values()) flush(pending)
    if (other.started > 0 || other.seconds.length > 0) flush(other)
  }
  function flush(pending: Pending): void {
    const { labels, ended } = pending
    started.inc(labels, pending.started)
    pending.started = 0
    for (const [code, grpc_code] of GRPC_CODES.entries()) {
      const count = ended[code] ?? 0
      if (count > 0) handled.inc({ ...labels, grpc_code }, count)
    }
    ended.fill(0)
    for (const value of pending.seconds) seconds.observe(labels, value)
    pending.seconds.length = 0
  }

  return path => {
    const pending = pendingOf(path)
    const startedAt = performance.now()
    pending.started += 1
    return grpcStatus => {
      const code = grpcStatus in pending.ended ? grpcStatus : STATUS.UNKNOWN
      pending.ended[code] = (pending.ended[code] ?? 0) + 1
      pending.seconds.push((performance.now() - startedAt) / 1000)
      if (pending.seconds.length >= MAX_PENDING) flush(pending)
    }
  }
}

function createPending(labels: Labels): Pending {
  return { labels, started: 0, ended: GRPC_CODES.map(() => 0), seconds: [] }
}

const METHOD = /^\/([\w.]{1,100})\/(\w{1,100})$/

function readLabels(path: string): Labels | undefined {
  const [, service, method] = METHOD.exec(path) ?? []
  if (service === undefined || method === undefined) return undefined
  return { grpc_type: STREAMING.has(path) ? 'server_stream' : 'unary', grpc_service: service, grpc_method: method }
}

const STREAMING = new Set([
  '/enbi.v1alpha1.Pulls/Watch',
  '/enbi.v1alpha1.Status/Watch',
  '/grpc.health.v1.Health/Watch',
  '/runtime.v1.ImageService/StreamImages',
])

/** Indexed by code, as gRPC for Go spells them. */
export const GRPC_CODES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
]
