import { Gauge, type Registry } from 'prom-client'
import { createGauges } from '../../lib/http/gauges.ts'
import type { ShimFacts } from '../status/status-message.ts'
import type { ContainerdView } from './containerd-view.ts'

export interface NodeMetricsOptions {
  readonly shim: ShimFacts
  readonly containerd: ContainerdView
}

/**
 * Facts about the shim and its images in containerd. If containerd does not answer, the number of images is left out.
 */
export function addNodeMetrics({ shim, containerd }: NodeMetricsOptions, registry: Registry): void {
  const registers = [registry]
  const gauge = createGauges(registry)
  new Gauge({
    name: 'enbi_shim_build_info',
    help: 'Always 1; the label has the version of the shim.',
    labelNames: ['version'],
    registers,
  }).set({ version: shim.version }, 1)
  gauge('enbi_shim_policy_rules', 'Rules of the policy; without rules nothing is built.', () => shim.rules)
  gauge('enbi_shim_builds_max', 'Places for concurrent builds (nix.maxBuilds).', () => shim.maxBuilds)
  new Gauge({
    name: 'enbi_shim_images',
    help: 'Images in containerd that the shim imported; missing while containerd does not answer.',
    registers,
    async collect() {
      const count = await containerd.countImages()
      if (count === undefined) this.remove()
      else this.set(count)
    },
  })
  new Gauge({
    name: 'enbi_shim_containerd_up',
    help: '1 if containerd answers within 2 s, otherwise 0.',
    registers,
    async collect() {
      this.set((await containerd.problem()) === undefined ? 1 : 0)
    },
  })
}
