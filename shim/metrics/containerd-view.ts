import { messageOf } from '../../lib/errors.ts'
import { askInTime } from '../containerd/connect.ts'
import { RECIPE_LABEL } from '../pull/labels.ts'

/** The requests to containerd. Only the number of the shim's own images affects their cost. */
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
