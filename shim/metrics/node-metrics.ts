import { Gauge, type Registry } from 'prom-client'
import type { KeptImages } from '../status/kept-images.ts'
import type { ShimFacts } from '../status/status-message.ts'
import { createGauges } from './gauges.ts'

export interface NodeMetricsOptions {
  readonly shim: ShimFacts
  /** Takes a bounded time and never throws. */
  readonly keptImages: () => Promise<KeptImages>
}

/** What the shim is, and what containerd has of it. A containerd that does not answer leaves the number of images out. */
export function addNodeMetrics({ shim, keptImages }: NodeMetricsOptions, registry: Registry): void {
  const registers = [registry]
  const gauge = createGauges(registry)
  new Gauge({
    name: 'enbi_shim_build_info',
    help: 'Always 1; label version: of the shim.',
    labelNames: ['version'],
    registers,
  }).set({ version: shim.version }, 1)
  gauge('enbi_shim_policy_rules', 'Rules of the policy; with none nothing is built.', () => shim.rules)
  gauge('enbi_shim_builds_max', 'Builds that may run at once.', () => shim.maxBuilds)
  new Gauge({
    name: 'enbi_shim_images',
    help: 'Images in containerd that the shim made.',
    registers,
    async collect() {
      const { images, problem } = await keptImages()
      if (problem === undefined) this.set(images.length)
      else this.remove()
    },
  })
  new Gauge({
    name: 'enbi_shim_containerd_up',
    help: '1 when containerd answers.',
    registers,
    async collect() {
      const { problem } = await keptImages()
      this.set(problem === undefined ? 1 : 0)
    },
  })
}
