import { createHash } from 'node:crypto'
import { serveTasks, type TaskContext } from '../../../lib/threads/serve-tasks.ts'
import { type EntryRoom, takeEntries } from '../image/size-limit.ts'
import { type FilesLayer, isMerged } from '../image/store-image.ts'
import { CHUNK_BYTES, RING_CHUNKS } from '../tar/chunks.ts'
import { storePathTar } from '../tar/store-path-tar.ts'

export interface TarTask {
  readonly layer: FilesLayer
  readonly entries: EntryRoom
  /** One Int32: free chunks in the ring, negative once the reader has gone. Without it, only the digest is computed. */
  readonly room?: SharedArrayBuffer
}

export interface TarAnswer {
  readonly size: number
  /** `sha256:<hex>`; missing if the tar itself was wanted. */
  readonly digest?: string
}

/** A thread that makes tars of layers, or computes their digests. The tar goes through a ring of memory that both sides share. */
serveTasks(async (task: TarTask, context: TaskContext<number, SharedArrayBuffer>): Promise<TarAnswer> => {
  const tar = await makeTar(task)
  return task.room ? writeRing(tar, new Int32Array(task.room), context) : digest(tar)
})

/** Loads what layers of nix2container need only for these. */
async function makeTar({ layer, entries }: TarTask): Promise<Iterable<Buffer>> {
  const count = (made: number) => takeEntries(entries, made)
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
  room: Int32Array,
  { data, send }: TaskContext<number, SharedArrayBuffer>,
): TarAnswer {
  const ring = Buffer.from(data)
  let sent = 0
  let size = 0
  for (const chunk of tar) {
    size += chunk.length
    if (!waitForRoom(room)) break
    chunk.copy(ring, (sent % RING_CHUNKS) * CHUNK_BYTES)
    send(chunk.length)
    sent += 1
  }
  return { size }
}

/** Blocks: this thread has nothing else to do. False when no more is wanted. */
function waitForRoom(room: Int32Array): boolean {
  for (;;) {
    const free = Atomics.load(room, 0)
    if (free < 0) return false
    if (free > 0) {
      Atomics.sub(room, 0, 1)
      return true
    }
    Atomics.wait(room, 0, 0)
  }
}
