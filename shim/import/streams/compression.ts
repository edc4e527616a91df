import { ReadableStream } from 'node:stream/web'
import { ShimError } from '../../../lib/errors.ts'
import { archiveInvalid } from '../image/errors.ts'
import { inflate } from './inflate.ts'
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
