import { messageOf } from '../../lib/errors.ts'
import { askInTime } from '../containerd/ask-in-time.ts'
import { RECIPE_LABEL } from '../pull/labels.ts'

/** What containerd is asked; nothing of it costs more the more images there are, but those that the shim made. */
export interface AskedContainerd {
  /** What CRI knows of a reference. */
  present(image: string): Promise<unknown>
  /** Every image record that has the label. */
  withLabel(label: string): Promise<readonly { readonly target: { readonly digest: string } }[]>
}

/** Takes a bounded time and never throws. */
export interface ContainerdView {
  /** Why containerd, its CRI plugin included, does not answer; undefined when it does. */
  problem(): Promise<string | undefined>
  /** Images that the shim made; undefined while containerd does not answer. */
  countImages(): Promise<number | undefined>
}

/** A reference that no image has. */
const NO_IMAGE = 'enbi-shim.invalid/none:none'

export function createContainerdView(containerd: () => Promise<AskedContainerd>): ContainerdView {
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
