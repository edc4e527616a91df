import { Registry } from 'prom-client'
import * as v from 'valibot'
import { createMetrics } from '../../../controller/metrics.ts'
import { addProcessMetrics } from '../../../lib/http/gauges.ts'
import { createCallMetrics } from '../../../shim/metrics/call-metrics.ts'
import { addCollectionMetrics } from '../../../shim/metrics/collection-metrics.ts'
import { addNodeMetrics } from '../../../shim/metrics/node-metrics.ts'
import { countPulls } from '../../../shim/metrics/pull-metrics.ts'
import { createPullLog } from '../../../shim/pull/pull-log.ts'
import { code, table } from './markdown.ts'

/** Writes down every metric, as it is defined. */
export function makeMetricsPage(): string {
  const controller = createMetrics().registry
  return [
    HEAD,
    '## Shim',
    '',
    describe(shimMetrics()),
    SHIM_REMARKS,
    '## Controller',
    '',
    describe(controller),
    '',
  ].join('\n')
}

const HEAD = `# Metrics

The shim serves metrics at \`metrics.address\` of its [config](config.md), and the controller at its
option \`--listen\`. Both use the text format of Prometheus at \`/metrics\`.
[Monitoring](../how-to/monitoring.md) describes how to scrape them, and has alert rules and a
dashboard. This page is generated from the metrics by \`npm run reference\`.

No metric names an image, a namespace or a flake.
`

const SHIM_REMARKS = `
- \`result\` is \`succeeded\`, \`failed\`, or \`refused\` by the policy or because of the system, before
  anything runs. \`code\` is the code of the [error](errors.md).
- A pull that gets a remembered failure does not count again in \`enbi_shim_pulls_total\`.
- A pull that fails has the \`grpc_code\` \`Unknown\`, because the kubelet shows only the message of
  that code.
- The \`result\` of a garbage collection is \`freed\`, \`nothing\` (less than 1 MiB) or \`failed\`.
- The shim keeps at most 64 methods apart; all further methods are \`other\`.
`

const metricShape = v.object({
  name: v.string(),
  help: v.string(),
  type: v.string(),
  labelNames: v.array(v.string()),
})

function describe(registry: Registry): string {
  const metrics = v.parse(v.array(metricShape), registry.getMetricsAsArray())
  const rows = metrics.map(({ name, type, labelNames, help }) => [
    code(name),
    type,
    labelNames
      .filter(label => label !== 'le')
      .map(code)
      .join(', '),
    help,
  ])
  return table(['metric', 'type', 'labels', 'meaning'], rows)
}

function shimMetrics(): Registry {
  const registry = new Registry()
  createCallMetrics(registry)
  countPulls(createPullLog(), registry)
  const limits = { below: { share: 0 }, upTo: { share: 0 } }
  addCollectionMetrics({ room: async () => ({ total: 0, free: 0 }), limits }, registry)
  const shim = { version: '', startedAt: 0, containerd: '', rules: 0, maxBuilds: 1, logs: '' }
  const containerd = { problem: async () => undefined, countImages: async () => 0 }
  addNodeMetrics({ shim, containerd }, registry)
  addProcessMetrics(registry)
  return registry
}
