import { Gauge, type Registry } from 'prom-client'
import { messageOf } from '../../lib/errors.ts'
import { createGauges } from '../../lib/http/gauges.ts'
import { askInTime } from '../containerd/connect.ts'
import { RECIPE_LABEL } from '../pull/image-of-recipe.ts'
import type { ShimFacts } from '../status/status-message.ts'

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

/** Queries of containerd. Their cost depends on the number of the shim's own images only. */
export interface ContainerdImages {
  /** What CRI knows about an image reference. */
  present(image: string): Promise<unknown>
  /** Every image record that has the label. */
  withLabel(label: string): Promise<readonly { readonly target: { readonly digest: string } }[]>
}

/** Takes a bounded time and never throws. */
export interface ContainerdView {
  /** Why containerd, including its CRI plugin, does not answer; undefined if it does. */
  problem(): Promise<string | undefined>
  /** Number of images that the shim made; undefined if containerd does not answer. */
  countImages(): Promise<number | undefined>
}

/** A reference that no image has. */
const NO_IMAGE = 'enbi-shim.invalid/none:none'

export function createContainerdView(containerd: () => Promise<ContainerdImages>): ContainerdView {
  const problem = askInTime(async () => {
    await (await containerd()).present(NO_IMAGE)
  })
  const count = askInTime(async () => {
    const records = await (await containerd()).withLabel(RECIPE_LABEL)
    return new Set(records.map(({ target }) => target.digest)).size
  })
  return {
    problem: () => problem().then(() => undefined, messageOf),
    countImages: () => count().catch(() => undefined),
  }
}
