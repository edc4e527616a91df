import { once } from 'node:events'
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib'
import { archiveInvalid } from '../image/errors.ts'

type Inflater = Gunzip | ZstdDecompress

const CHUNK_BYTES = 256 * 1024

/**
 * The bytes of all gzip members or zstd frames, one after another. Node's own streams may end with the first of them, but
 * containerd, which reads the same layers, continues. Throws ArchiveInvalid for anything else that follows.
 */
export async function* inflate(source: AsyncIterable<Buffer>, compression: 'gzip' | 'zstd'): AsyncGenerator<Buffer> {
  const input = source[Symbol.asyncIterator]()
  const used = createBufferCollector()
  try {
    let rest = await nextOf(input)
    while (rest) {
      const inflater = create(compression)
      const feeding = feed(inflater, rest, input)
      // A failure is reported by the inflater, or where this is awaited below.
      feeding.catch(error => inflater.destroy(error))
      try {
        for await (const chunk of inflater) {
          yield chunk
          used(chunk.length)
        }
        rest = await feeding
      } finally {
        inflater.destroy()
      }
    }
  } finally {
    await input.return?.()
  }
}

function create(compression: 'gzip' | 'zstd'): Inflater {
  const options = { chunkSize: CHUNK_BYTES }
  return compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options)
}

/** Returns what the inflater left, or nothing at the end of the input. */
async function feed(inflater: Inflater, first: Buffer, input: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  for (let chunk: Buffer | undefined = first; chunk; chunk = await nextOf(input)) {
    const before = inflater.bytesWritten
    await write(inflater, chunk)
    const taken = inflater.bytesWritten - before
    if (taken < chunk.length && taken === 0) throw archiveInvalid('has something else behind its compressed bytes')
    if (taken < chunk.length) return chunk.subarray(taken)
  }
  inflater.end()
  return undefined
}

/** Waits until the chunk is taken, or the inflater wants no more of it. */
async function write(inflater: Inflater, chunk: Buffer): Promise<void> {
  const over = new AbortController()
  const { signal } = over
  const taken = new Promise<void>((resolve, reject) => {
    inflater.write(chunk, error => (error ? reject(error) : resolve()))
  })
  try {
    await Promise.race([taken, once(inflater, 'end', { signal }), once(inflater, 'close', { signal })])
  } finally {
    over.abort()
  }
}

async function nextOf(input: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  const { done, value } = await input.next()
  return done ? undefined : value
}

/** A minor collection takes 0.2 ms; decompressing this much takes a millisecond (2026-11-27). */
const YOUNG_BYTES = 1024 * 1024

/** Some buffers grow old nevertheless, and need a major collection. */
const ALL_BYTES = 16 * 1024 * 1024

/**
 * Buffers lie outside of the heap and its limit: V8 lets 64 MB of unused ones pile up before it collects them. The result is to
 * be called with the bytes of each used buffer. Needs Node's `--expose-gc`.
 */
function createBufferCollector(): (bytes: number) => void {
  let young = 0
  let all = 0
  return bytes => {
    young += bytes
    all += bytes
    if (young < YOUNG_BYTES) return
    young = 0
    globalThis.gc?.({ type: all < ALL_BYTES ? 'minor' : 'major' })
    if (all >= ALL_BYTES) all = 0
  }
}
