import { createHash } from 'node:crypto'
import { serveTasks, type TaskContext } from '../../../lib/threads/serve-tasks.ts'
import { type EntryRoom, takeEntries } from '../image/size-limit.ts'
import { type FilesLayer, isMerged } from '../image/store-image.ts'
import { CHUNK_BYTES, RING_CHUNKS } from '../tar/chunks.ts'
import { storePathTar } from '../tar/store-path-tar.ts'

export interface TarTask {
  readonly layer: FilesLayer
  readonly entryRoom: EntryRoom
  /** One Int32: how many chunks of the ring are free, negative once the reader has gone. Without it, only the digest is computed. */
  readonly freeChunks?: SharedArrayBuffer
}

export interface TarAnswer {
  readonly size: number
  /** `sha256:<hex>`; missing if the tar itself was wanted. */
  readonly digest?: string
}

/** A thread that makes tars of layers, or computes their digests. The tar goes through a ring of memory that both sides share. */
serveTasks(async (task: TarTask, context: TaskContext<number, SharedArrayBuffer>): Promise<TarAnswer> => {
  const tar = await makeChunks(task)
  return task.freeChunks ? writeRing(tar, new Int32Array(task.freeChunks), context) : digest(tar)
})

/** Loads what layers of nix2container need only for these. */
async function makeChunks({ layer, entryRoom }: TarTask): Promise<Iterable<Buffer>> {
  const count = (made: number) => takeEntries(entryRoom, made)
  if (!isMerged(layer)) return storePathTar(layer, count)
  const [{ mergedLayerTar }, { compileRegexes }] = await Promise.all([
    import('../formats/nix2container/tar.ts'),
    import('../formats/nix2container/regex.ts'),
  ])
  return mergedLayerTar(layer, await compileRegexes(layer), count)
}

function digest(tar: Iterable<Buffer>): TarAnswer {
  const hash = createHash('sha256')
  let size = 0
  for (const chunk of tar) {
    size += chunk.length
    hash.update(chunk)
  }
  return { size, digest: `sha256:${hash.digest('hex')}` }
}

/** Puts chunks into the thread's ring, and sends their lengths, until no more are wanted. */
function writeRing(
  tar: Iterable<Buffer>,
  freeChunks: Int32Array,
  { data, send }: TaskContext<number, SharedArrayBuffer>,
): TarAnswer {
  const ring = Buffer.from(data)
  let sent = 0
  let size = 0
  for (const chunk of tar) {
    size += chunk.length
    if (!waitForChunk(freeChunks)) break
    chunk.copy(ring, (sent % RING_CHUNKS) * CHUNK_BYTES)
    send(chunk.length)
    sent += 1
  }
  return { size }
}

/** Blocks: this thread has nothing else to do. False when no more is wanted. */
function waitForChunk(freeChunks: Int32Array): boolean {
  for (;;) {
    const free = Atomics.load(freeChunks, 0)
    if (free < 0) return false
    if (free > 0) {
      Atomics.sub(freeChunks, 0, 1)
      return true
    }
    Atomics.wait(freeChunks, 0, 0)
  }
}
