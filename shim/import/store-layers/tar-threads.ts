import { extname } from 'node:path'
import { Readable } from 'node:stream'
import { RetryableError } from '../../../lib/errors.ts'
import { createThreadPool, type ThreadPool, threadCount } from '../../../lib/threads/thread-pool.ts'
import type { StoredBlob } from '../image/parsed-image.ts'
import type { EntryRoom } from '../image/size-limit.ts'
import type { FilesLayer } from '../image/store-image.ts'
import { CHUNK_BYTES, RING_CHUNKS } from '../tar/chunks.ts'
import type { TarAnswer, TarTask } from './tar-thread.ts'

/** Makes tars of layers in threads, as many concurrently as there are threads; the others are queued. */
export interface TarThreads {
  /**
   * The tar, made as fast as it is read; takes its entries from the room. A chunk of CHUNK_BYTES is valid until the next one is
   * asked for. Throws ArchiveInvalid, ImageTooLarge or ImportInterrupted.
   */
  tar(layer: FilesLayer, entryRoom: EntryRoom): AsyncGenerator<Buffer>
  /** Reads all of the layer. Throws as `tar` does. */
  digest(layer: FilesLayer, entryRoom: EntryRoom): Promise<StoredBlob>
  /** Ends the threads, even busy ones; new ones start when they are needed. */
  close(): Promise<void>
}

/** containerd hashes every blob: more threads would only wait for it. */
export const TAR_THREADS = threadCount(2)

/** The same file, as source or compiled. */
const PROGRAM = new URL(`./tar-thread${extname(import.meta.url)}`, import.meta.url)

/** Threads start when they are first needed. */
export function createTarThreads(count = TAR_THREADS): TarThreads {
  let pool: TarPool | undefined
  const openPool = () => {
    pool ??= createPool(count)
    return pool
  }
  return {
    tar: (layer, entryRoom) => streamTar(openPool, { layer, entryRoom }),
    async digest(layer, entryRoom) {
      const { digest, size } = await openPool().run({ layer, entryRoom })
      if (digest === undefined) throw new Error('the thread made no digest')
      return { digest, size }
    },
    async close() {
      const closing = pool?.close()
      pool = undefined
      await closing
    },
  }
}

/** A part of an answer is the length of a chunk in the thread's ring. */
type TarPool = ThreadPool<TarTask, TarAnswer, number, SharedArrayBuffer>

function createPool(count: number): TarPool {
  return createThreadPool({
    program: PROGRAM,
    name: 'tar',
    count,
    makeData: () => new SharedArrayBuffer(RING_CHUNKS * CHUNK_BYTES),
    toError: reason => new RetryableError('ImportInterrupted', `a thread that reads store paths has ended: ${reason}`),
  })
}

/** Value of `freeChunks` once the reader has gone. */
const NO_MORE = -1_000_000

async function* streamTar(openPool: () => TarPool, task: TarTask): AsyncGenerator<Buffer> {
  const freeChunks = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  freeChunks[0] = RING_CHUNKS
  const chunks = new Readable({ objectMode: true, read() {} })
  let place = 0
  const made = openPool().run({ ...task, freeChunks: freeChunks.buffer }, (length, ring) => {
    chunks.push(Buffer.from(ring, place * CHUNK_BYTES, length))
    place = (place + 1) % RING_CHUNKS
  })
  made.then(
    () => chunks.push(null),
    error => chunks.destroy(error),
  )
  try {
    for await (const chunk of chunks) {
      // A reader that gathers short chunks for a message does not keep the ring's memory.
      yield chunk.length === CHUNK_BYTES ? chunk : Buffer.from(chunk)
      Atomics.add(freeChunks, 0, 1)
      Atomics.notify(freeChunks, 0)
    }
  } finally {
    Atomics.store(freeChunks, 0, NO_MORE)
    Atomics.notify(freeChunks, 0)
    await made.catch(() => {})
  }
}
