import { Counter, Histogram, type Registry } from 'prom-client'
import type { CallObserver } from '../proxy/contract.ts'

/** Whoever can reach the socket can ask for any method: beyond this many, all others are one. */
const MAX_METHODS = 64
const OTHER = ['unary', 'other', 'other'] as const
/** Seconds: from a call that is passed on to a pull that builds for an hour. */
const BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300, 1800, 3600]

/**
 * Counts every call on the socket. Names and labels are those of go-grpc-prometheus, so that what reads these works. Lines of
 * metrics are looked up once for each method: that is on the way of every call.
 */
export function createCallMetrics(registry: Registry): CallObserver {
  const registers = [registry]
  const labelNames = ['grpc_type', 'grpc_service', 'grpc_method'] as const
  const started = new Counter({
    name: 'grpc_server_started_total',
    help: 'Calls that came.',
    labelNames,
    registers,
  })
  const handled = new Counter({
    name: 'grpc_server_handled_total',
    help: 'Calls that have ended, whoever answered them.',
    labelNames: [...labelNames, 'grpc_code'],
    registers,
  })
  const seconds = new Histogram({
    name: 'grpc_server_handling_seconds',
    help: 'Time from the call to the end of its answer.',
    labelNames,
    buckets: BUCKETS,
    registers,
  })
  const makeLines = (labels: readonly [string, string, string]) => {
    const ends = new Map<string, Counter.Internal>()
    const end = (code: string) => {
      const line = ends.get(code) ?? handled.labels(...labels, code)
      ends.set(code, line)
      return line
    }
    return { started: started.labels(...labels), end, seconds: seconds.labels(...labels) }
  }
  const other = makeLines(OTHER)
  const methods = new Map<string, typeof other>()
  const linesOf = (path: string) => {
    const known = methods.get(path)
    if (known) return known
    const labels = methods.size < MAX_METHODS ? readLabels(path) : undefined
    if (!labels) return other
    const lines = makeLines(labels)
    methods.set(path, lines)
    return lines
  }

  return path => {
    const lines = linesOf(path)
    const startedAt = performance.now()
    lines.started.inc()
    return grpcStatus => {
      lines.end(CODES[grpcStatus] ?? 'Unknown').inc()
      lines.seconds.observe((performance.now() - startedAt) / 1000)
    }
  }
}

const METHOD = /^\/([\w.]{1,100})\/(\w{1,100})$/

function readLabels(path: string): readonly [string, string, string] | undefined {
  const [, service, method] = METHOD.exec(path) ?? []
  if (service === undefined || method === undefined) return undefined
  return [STREAMING.has(path) ? 'server_stream' : 'unary', service, method]
}

const STREAMING = new Set([
  '/enbi.v1alpha1.Pulls/Watch',
  '/enbi.v1alpha1.Status/Watch',
  '/grpc.health.v1.Health/Watch',
  '/runtime.v1.ImageService/StreamImages',
])

/** By their numbers, as gRPC for Go spells them. */
const CODES = [
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
