import { extname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { RetryableError } from '../../../lib/errors.ts'
import { createThreadPool, type ThreadPool, threadCount } from '../../../lib/threads/thread-pool.ts'
import type { EntryRoom } from '../image/size-limit.ts'
import type { StorePathLayer } from '../image/store-image.ts'
import { closeFolder, type FolderTask, type LinkTask, openFolder, openLayer } from './fill-folder.ts'
import type { LinkPaths } from './link-paths.ts'
import {
  addCounts,
  type FillCounts,
  noCounts,
  type Path,
  type PlaceOptions,
  placeOptionsOf,
  toLinkError,
} from './place-file.ts'

export interface LayerToFill {
  readonly files: StorePathLayer
  /** Of all files, in bytes; need not be exact. */
  readonly size: number
  /** Name of the staging folder, which is made in the folder of the LinkPaths. */
  readonly name: string
}

/** Fills staging folders with the files of layers: main thread and threads link or copy them. */
export interface Linker {
  /**
   * Begins to fill all of them, the first ones first; each promise resolves once its layer is complete. They reject with
   * ArchiveInvalid, ImageTooLarge, DiskFull, ImportInterrupted, Cancelled or the signal's reason, and leave half-filled folders.
   */
  fill(tasks: readonly LayerToFill[], wanted: Wanted): readonly Promise<FillCounts>[]
  close(): Promise<void>
}

export interface Wanted {
  /** For the entries of all layers. */
  readonly entryRoom: EntryRoom
  readonly signal: AbortSignal
}

/** The same file, as source or compiled. */
const PROGRAM = new URL(`./link-thread${extname(import.meta.url)}`, import.meta.url)
/** containerd walks through every snapshot at the same time. */
const THREADS = threadCount(4)

/** Threads start once there is probably enough to do for them, and serve until the linker is closed. */
export function createLinker(paths: LinkPaths, count = THREADS): Linker {
  const threads: LinkThreads = createThreadPool({
    program: PROGRAM,
    name: 'link',
    count,
    makeData: () => undefined,
    toError: reason => new RetryableError('ImportInterrupted', `a thread that links files has ended: ${reason}`),
  })
  return {
    fill(tasks, { entryRoom, signal }) {
      if (tasks.length === 0) return []
      signal.addEventListener('abort', () => threads.cancel(signal.reason), { once: true })
      if (tasks.reduce((sum, { size }) => sum + size, 0) >= MANY_BYTES) threads.start()
      const opening = openUpper(tasks, paths, { entryRoom, signal })
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

/** Layers of this size probably have so many files that threads save more time than their start takes. */
const MANY_BYTES = 64 * 1024 * 1024

/** A layer that has only its upper folders so far. */
interface OpenLayer {
  readonly options: PlaceOptions
  readonly counts: FillCounts
  /** Folders that get their final mode and time once everything is in them, the upper ones first. */
  readonly open: { readonly target: Path; readonly mode: number }[]
  /** Folders that are still to be made. */
  readonly rest: FolderTask[]
}

/** The main thread links this many files alone: for fewer, starting threads takes longer than it saves. */
const FILES_BEFORE_THREADS = 1000
/** A folder counts as this many files, as it takes about as long. */
const FILES_PER_FOLDER = 8
/** With this many folders left, all threads are busy until the end, unless the folders differ much in size. */
const MIN_OPEN_FOLDERS = 32
/** Longest time that the main thread handles no events. */
const MAX_BLOCKING_MS = 10

/** Fills upper folders, those of the first layers first, until threads can share the rest, or nothing is left. */
async function openUpper(
  tasks: readonly LayerToFill[],
  paths: LinkPaths,
  { entryRoom, signal }: Wanted,
): Promise<OpenLayer[]> {
  signal.throwIfAborted()
  const layers = tasks.map(task => openOne(task, paths, entryRoom))
  // Copying takes long, and this thread has events to handle.
  if (paths.kind !== 'link') return layers
  for (let since = performance.now(); !canThreadsShare(layers); ) {
    const layer = layers.find(({ rest }) => rest.length > 0)
    if (!layer) break
    openNext(layer)
    if (performance.now() - since < MAX_BLOCKING_MS) continue
    await setImmediate()
    signal.throwIfAborted()
    since = performance.now()
  }
  return layers
}

function openOne({ files: layer, name }: LayerToFill, paths: LinkPaths, entryRoom: EntryRoom): OpenLayer {
  const options = placeOptionsOf(layer, { how: paths.kind, entryRoom })
  const counts = noCounts()
  const { open, folders } = openLayer({ layer, store: paths.store, target: `${paths.folder}/${name}` }, options, counts)
  return { options, counts, open: [...open], rest: [...folders] }
}

function canThreadsShare(layers: readonly OpenLayer[]): boolean {
  const done = layers.reduce(
    (sum, { counts }) => sum + counts.linked + counts.copied + FILES_PER_FOLDER * counts.folders,
    0,
  )
  const folders = layers.reduce((sum, { rest }) => sum + rest.length, 0)
  return done >= FILES_BEFORE_THREADS && (folders >= MIN_OPEN_FOLDERS || done >= 4 * FILES_BEFORE_THREADS)
}

function openNext({ options, counts, open, rest }: OpenLayer): void {
  const folder = rest.shift()
  if (!folder) return
  const { mode, folders } = openFolder(folder, options, counts)
  open.push({ target: folder.target, mode })
  rest.push(...folders)
}

/** Folders that a thread gets in one message, as each message takes time. */
const FOLDERS_PER_TASK = 16

async function complete({ options, counts, open, rest }: OpenLayer, threads: LinkThreads): Promise<FillCounts> {
  const size = options.how === 'link' ? FOLDERS_PER_TASK : 1
  const batches = Array.from({ length: Math.ceil(rest.length / size) }, (_, n) => rest.slice(n * size, (n + 1) * size))
  for (const done of await Promise.all(batches.map(folders => threads.run({ folders, options }))))
    addCounts(counts, done)
  // Deepest first: a folder's time changes with whatever is made in it.
  for (const { target, mode } of open.toReversed()) closeFolder(target, mode, options)
  return counts
}
