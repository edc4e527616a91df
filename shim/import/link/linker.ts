import type { StorePathLayer } from '../layers/layer.ts'
import { closeFolder, openFolder } from './fill-folder.ts'
import type { LinkTask } from './link-task.ts'
import { createLinkThreads, type LinkThreads } from './link-threads.ts'
import type { LinkView } from './link-view.ts'
import { openLayer } from './open-layer.ts'
import { addCounts, type FillCounts, noCounts, type Path, type Placing, placingOf } from './placing.ts'
import { toLinkError } from './to-link-error.ts'

export interface LayerTask {
  readonly layer: StorePathLayer
  /** Name of a folder to be made in the view's folder. */
  readonly name: string
}

/** Fills folders with layers' files. */
export interface Linker {
  /**
   * Begins with all of them, the first ones first; each resolves when its layer is complete. They reject with
   * ArchiveInvalid, DiskFull, ImportInterrupted or Cancelled; what is half-filled then stays.
   */
  fill(tasks: readonly LayerTask[], signal: AbortSignal): readonly Promise<FillCounts>[]
  close(): Promise<void>
}

/** Threads start once there is enough to do for them, and serve until the linker is closed. */
export function createLinker(view: LinkView): Linker {
  const threads = createLinkThreads()
  return {
    fill(tasks, signal) {
      signal.addEventListener('abort', () => threads.cancel(), { once: true })
      try {
        signal.throwIfAborted()
        return openUpper(tasks, view).map(layer => complete(layer, threads))
      } catch (error) {
        return tasks.map(() => Promise.reject(toLinkError(error)))
      }
    },
    close: () => threads.close(),
  }
}

/** A layer of which only the upper folders are there yet. */
interface OpenLayer {
  readonly placing: Placing
  readonly counts: FillCounts
  /** Those that get their final form once all is in them, the upper ones first. */
  readonly open: { readonly target: Path; readonly mode: number }[]
  /** Those that are still to be made. */
  readonly rest: LinkTask['folders'][number][]
}

/** Files that are placed before threads are worth their start. */
const ALONE = 1000
/** Folders that keep all threads busy to the end, if they are not of very different sizes. */
const ENOUGH = 32

/** Fills the upper folders, level by level, until there is enough to be shared out, or nothing left. */
function openUpper(tasks: readonly LayerTask[], view: LinkView): OpenLayer[] {
  const layers = tasks.map(({ layer, name }): OpenLayer => {
    const placing = placingOf(layer, view.kind)
    const counts = noCounts()
    const { open, folders } = openLayer({ layer, store: view.store, target: `${view.folder}/${name}` }, placing, counts)
    return { placing, counts, open: [...open], rest: [...folders] }
  })
  while (layers.some(({ rest }) => rest.length > 0) && !isEnough(layers)) for (const layer of layers) openLevel(layer)
  return layers
}

function isEnough(layers: readonly OpenLayer[]): boolean {
  const placed = layers.reduce((sum, { counts }) => sum + counts.linked + counts.copied, 0)
  const folders = layers.reduce((sum, { rest }) => sum + rest.length, 0)
  return folders >= ENOUGH && (placed >= ALONE || folders >= ALONE)
}

function openLevel({ placing, counts, open, rest }: OpenLayer): void {
  for (const folder of rest.splice(0)) {
    const { mode, folders } = openFolder(folder, placing, counts)
    open.push({ target: folder.target, mode })
    rest.push(...folders)
  }
}

/** Folders that a thread is given at once: messages cost time, too. */
const BATCH = 16

async function complete({ placing, counts, open, rest }: OpenLayer, threads: LinkThreads): Promise<FillCounts> {
  const batches = Array.from({ length: Math.ceil(rest.length / BATCH) }, (_, n) =>
    rest.slice(n * BATCH, (n + 1) * BATCH),
  )
  for (const done of await Promise.all(batches.map(folders => threads.run({ folders, placing }))))
    addCounts(counts, done)
  // Deepest first: a folder's time changes with whatever is made in it.
  for (const { target, mode } of open.toReversed()) closeFolder(target, mode, placing)
  return counts
}
