import { messageOf } from '../errors.ts'
import { RECIPE_LABEL } from '../pull/labels.ts'
import { unlessAborted } from '../unless-aborted.ts'

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

/** A containerd that is there answers in milliseconds. */
const LIMIT_MS = 2000
/** A reference that no image has. */
const NO_IMAGE = 'enbi-shim.invalid/none:none'

export function createContainerdView(containerd: () => Promise<AskedContainerd>): ContainerdView {
  const problem = shareAnswer(async () => {
    await (await containerd()).present(NO_IMAGE)
  })
  const count = shareAnswer(async () => {
    const records = await (await containerd()).withLabel(RECIPE_LABEL)
    return new Set(records.map(({ target }) => target.digest)).size
  })
  return {
    problem: () => problem().then(() => undefined, messageOf),
    countImages: () => count().catch(() => undefined),
  }
}

/** One that was left to itself may still be waiting: nothing is asked beside it. */
function shareAnswer<T>(ask: () => Promise<T>): () => Promise<T> {
  let asking: Promise<T> | undefined
  return () => {
    asking ??= ask().finally(() => {
      asking = undefined
    })
    return unlessAborted(asking, AbortSignal.timeout(LIMIT_MS), tooLate)
  }
}

function tooLate(): Error {
  return new Error(`it said nothing for ${LIMIT_MS / 1000} s`)
}
