import type { Config } from '../config/config.ts'
import { createContainerdImages } from '../containerd/image-records.ts'
import { withoutDoubles } from '../containerd/mirrors.ts'
import { SNAPSHOTTER_LABEL } from '../containerd/usable.ts'
import { RECIPE_LABEL } from '../pull/image-of-recipe.ts'
import { type Check, ok, skipped, warning } from './probes/finding.ts'
import { probeSocket } from './probes/probe-socket.ts'

/** Maximum number of images in a message. */
const NAMED = 3

/** Whether the images of recipes were made for the snapshotter in the config. */
export function checkImages({ containerd, import: { layers } }: Pick<Config, 'containerd' | 'import'>): Check {
  const { address, snapshotter } = containerd
  return {
    name: 'images',
    async look() {
      if (await probeSocket(address, '')) return skipped('containerd does not answer')
      const records = createContainerdImages({ address, form: { snapshotter, layers } })
      try {
        const all = (await records.withLabel(RECIPE_LABEL)).filter(({ name }) => !name.startsWith('sha256:'))
        const images = withoutDoubles(all)
        const strange = images.filter(({ labels }) => (labels[SNAPSHOTTER_LABEL] ?? snapshotter) !== snapshotter)
        if (strange.length === 0) return ok(`${images.length} from recipes, for ${snapshotter}`)
        const named = strange.slice(0, NAMED).map(({ name, labels }) => `${name} (${labels[SNAPSHOTTER_LABEL]})`)
        const more = strange.length > NAMED ? ` and ${strange.length - NAMED} more` : ''
        return warning(
          `not made for the snapshotter ${snapshotter}: ${named.join(', ')}${more}`,
          'the next pull of each image makes it again; remove unused images with crictl rmi',
        )
      } finally {
        records.close()
      }
    },
  }
}
