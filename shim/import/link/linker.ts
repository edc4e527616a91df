import { extname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { RetryableError } from '../../../lib/errors.ts'
import { createThreadPool, type ThreadPool, threadCount } from '../../../lib/threads/thread-pool.ts'
import type { EntryRoom } from '../image/size-limit.ts'
import type { StorePathLayer } from '../image/store-image.ts'
import { closeFolder, type FolderTask, type LinkTask, openFolder, openLayer } from './fill-folder.ts'
import type { LinkView } from './link-paths.ts'
import { addCounts, type FillCounts, noCounts, type Path, type Placing, placingOf, toLinkError } from './place-file.ts'

export interface LayerTask {
  readonly layer: StorePathLayer
  /** Of all files, in bytes; need not be exact. */
  readonly size: number
  /** Name of a folder to be made in the view's folder. */
  readonly name: string
}

/** Fills folders with layers' files. */
export interface Linker {
  /**
   * Begins to fill all of them, the first ones first; each promise resolves once its layer is complete. They reject with
   * ArchiveInvalid, ImageTooLarge, DiskFull, ImportInterrupted, Cancelled or the signal's reason, and leave half-filled folders.
   */
  fill(tasks: readonly LayerTask[], wanted: Wanted): readonly Promise<FillCounts>[]
  close(): Promise<void>
}

export interface Wanted {
  /** For the entries of all layers. */
  readonly entries: EntryRoom
  readonly signal: AbortSignal
}

/** The same file, as source or compiled. */
const PROGRAM = new URL(`./link-thread${extname(import.meta.url)}`, import.meta.url)
/** containerd walks through every snapshot at the same time. */
const THREADS = threadCount(4)

/** Threads start once there is probably enough to do for them, and serve until the linker is closed. */
export function createLinker(view: LinkView, count = THREADS): Linker {
  const threads: LinkThreads = createThreadPool({
    program: PROGRAM,
    name: 'link',
    count,
    makeData: () => undefined,
    toError: reason => new RetryableError('ImportInterrupted', `a thread that links files has ended: ${reason}`),
  })
  return {
    fill(tasks, { entries, signal }) {
      if (tasks.length === 0) return []
      signal.addEventListener('abort', () => threads.cancel(signal.reason), { once: true })
      if (tasks.reduce((sum, { size }) => sum + size, 0) >= MANY_BYTES) threads.start()
      const opening = openUpper(tasks, view, { entries, signal })
      return tasks.map(async (_, index) => {
        try {
          const { [index]: layer } = await opening
          return layer ? await complete(layer, threads) : noCounts()
        } catch (error) {
          signal.throwIfAborted()
          throw toLinkError(error)
        }
      })
    },
    close: () => threads.close(),
  }
}

type LinkThreads = ThreadPool<LinkTask, FillCounts, never, undefined>

/** Layers of that size probably have enough files for threads to be worth their start. */
const MANY_BYTES = 64 * 1024 * 1024

/** A layer of which only the upper folders are there yet. */
interface OpenLayer {
  readonly placing: Placing
  readonly counts: FillCounts
  /** Folders that get their final mode and time once everything is in them, the upper ones first. */
  readonly open: { readonly target: Path; readonly mode: number }[]
  /** Folders that are still to be made. */
  readonly rest: FolderTask[]
}

/** Files that are linked before threads are worth their start. */
const ALONE = 1000
/** A folder takes as long as so many files. */
const FILES_A_FOLDER = 8
/** Folders that keep all threads busy to the end, if their sizes do not differ much. */
const ENOUGH = 32
/** Longest time without handling events. */
const BREATH_MS = 10

/** Fills upper folders, those of the first layers first, until threads can share the rest, or nothing is left. */
async function openUpper(
  tasks: readonly LayerTask[],
  view: LinkView,
  { entries, signal }: Wanted,
): Promise<OpenLayer[]> {
  signal.throwIfAborted()
  const layers = tasks.map(task => openOne(task, view, entries))
  // Copying takes long, and this thread has events to handle.
  if (view.kind === 'copy') return layers
  for (let since = performance.now(); !isEnough(layers); ) {
    const layer = layers.find(({ rest }) => rest.length > 0)
    if (!layer) break
    openNext(layer)
    if (performance.now() - since < BREATH_MS) continue
    await setImmediate()
    signal.throwIfAborted()
    since = performance.now()
  }
  return layers
}

function openOne({ layer, name }: LayerTask, view: LinkView, entries: EntryRoom): OpenLayer {
  const placing = placingOf(layer, { how: view.kind, entries })
  const counts = noCounts()
  const { open, folders } = openLayer({ layer, store: view.store, target: `${view.folder}/${name}` }, placing, counts)
  return { placing, counts, open: [...open], rest: [...folders] }
}

function isEnough(layers: readonly OpenLayer[]): boolean {
  const done = layers.reduce(
    (sum, { counts }) => sum + counts.linked + counts.copied + FILES_A_FOLDER * counts.folders,
    0,
  )
  const folders = layers.reduce((sum, { rest }) => sum + rest.length, 0)
  return done >= ALONE && (folders >= ENOUGH || done >= 4 * ALONE)
}

function openNext({ placing, counts, open, rest }: OpenLayer): void {
  const folder = rest.shift()
  if (!folder) return
  const { mode, folders } = openFolder(folder, placing, counts)
  open.push({ target: folder.target, mode })
  rest.push(...folders)
}

/** Folders to link in one task: messages cost time too. */
const BATCH = 16

async function complete({ placing, counts, open, rest }: OpenLayer, threads: LinkThreads): Promise<FillCounts> {
  const size = placing.how === 'link' ? BATCH : 1
  const batches = Array.from({ length: Math.ceil(rest.length / size) }, (_, n) => rest.slice(n * size, (n + 1) * size))
  for (const done of await Promise.all(batches.map(folders => threads.run({ folders, placing }))))
    addCounts(counts, done)
  // Deepest first: a folder's time changes with whatever is made in it.
  for (const { target, mode } of open.toReversed()) closeFolder(target, mode, placing)
  return counts
}
