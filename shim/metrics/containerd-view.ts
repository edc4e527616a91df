import { messageOf } from '../errors.ts'
import { RECIPE_LABEL } from '../pull/labels.ts'
import { shareAnswer } from '../share-answer.ts'
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
  const problem = bounded(async () => {
    await (await containerd()).present(NO_IMAGE)
  })
  const count = bounded(async () => {
    const records = await (await containerd()).withLabel(RECIPE_LABEL)
    return new Set(records.map(({ target }) => target.digest)).size
  })
  return {
    problem: () => problem().then(() => undefined, messageOf),
    countImages: () => count().catch(() => undefined),
  }
}

/** In time; what was left to itself may still be waiting. */
function bounded<T>(ask: () => Promise<T>): () => Promise<T> {
  const answer = shareAnswer(ask)
  return () => unlessAborted(answer(), AbortSignal.timeout(LIMIT_MS), tooLate)
}

function tooLate(): Error {
  return new Error(`it said nothing for ${LIMIT_MS / 1000} s`)
}
