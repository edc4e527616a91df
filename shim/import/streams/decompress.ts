import { once } from 'node:events'
import { ReadableStream } from 'node:stream/web'
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib'
import { ShimError } from '../../../lib/errors.ts'
import { archiveInvalid } from '../image/errors.ts'
import { peek } from './streams.ts'

export type Compression = 'none' | 'gzip' | 'zstd' | 'xz'

/** Bytes that identify a compression. */
export const MAGIC_BYTES = 6

const MAGICS: readonly { compression: Compression; magic: Buffer }[] = [
  { compression: 'gzip', magic: Buffer.from([0x1f, 0x8b]) },
  { compression: 'zstd', magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]) },
  { compression: 'xz', magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]) },
]

export function compressionOf(head: Buffer): Compression {
  const found = MAGICS.find(({ magic }) => head.subarray(0, magic.length).equals(magic))
  return found?.compression ?? (isSkippableFrame(head) ? 'zstd' : 'none')
}

const SKIPPABLE = Buffer.from([0x2a, 0x4d, 0x18])

/** zstd may also begin with a frame of user data. */
function isSkippableFrame(head: Buffer): boolean {
  return ((head[0] ?? 0) & 0xf0) === 0x50 && head.subarray(1, 4).equals(SKIPPABLE)
}

/** Decompresses bytes; recognizes the compression by content. Throws ArchiveInvalid for damaged ones. */
export async function* decompress(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const { head, all } = await peek(source, MAGIC_BYTES)
  const compression = compressionOf(head)
  if (compression === 'none') yield* all
  else yield* through(all, compression)
}

async function* through(source: AsyncIterable<Buffer>, compression: Exclude<Compression, 'none'>) {
  try {
    yield* compression === 'xz' ? unxz(source) : inflate(source, compression)
  } catch (error) {
    if (error instanceof ShimError || isAbort(error)) throw error
    throw archiveInvalid(`is damaged or cut short: its ${compression} stream cannot be read to the end`, error)
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}

/** XZ_MEMLIMIT_ERROR of xz-embedded. */
const MEMORY_LIMIT = 'failed with error code 4'

/**
 * The decompressor is a WebAssembly module, loaded when it is first needed. It has memory for a dictionary of 64 MiB, that of xz
 * -9; a file may ask for up to 4 GiB. Throws ArchiveInvalid for such files.
 */
async function* unxz(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const { default: xz } = await import('xz-decompress')
  try {
    for await (const chunk of new xz.XzReadableStream(ReadableStream.from(source))) yield Buffer.from(chunk)
  } catch (error) {
    if (!(error instanceof Error) || !error.message.endsWith(MEMORY_LIMIT)) throw error
    throw archiveInvalid('is compressed with too large a dictionary: xz -9 and below can be read', error)
  }
}

type Inflater = Gunzip | ZstdDecompress

const CHUNK_BYTES = 256 * 1024

/**
 * The bytes of all gzip members or zstd frames, one after another. Node's own streams may end with the first of them, but
 * containerd, which reads the same layers, continues. Throws ArchiveInvalid for anything else that follows.
 */
async function* inflate(source: AsyncIterable<Buffer>, compression: 'gzip' | 'zstd'): AsyncGenerator<Buffer> {
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

/** Some buffers still grow old, and need a major collection. */
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
