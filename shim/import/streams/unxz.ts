import { ReadableStream } from 'node:stream/web'
import { archiveInvalid } from '../image/errors.ts'

/**
 * The decompressor is a WebAssembly module, loaded for the few that need it. It has memory for a dictionary of 64 MiB, that of xz
 * -9; a file may ask for up to 4 GiB. Throws ArchiveInvalid for those.
 */
export async function* unxz(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const { default: xz } = await import('xz-decompress')
  try {
    for await (const chunk of new xz.XzReadableStream(ReadableStream.from(source))) yield Buffer.from(chunk)
  } catch (error) {
    if (!(error instanceof Error) || !error.message.endsWith(MEMORY_LIMIT)) throw error
    throw archiveInvalid('is compressed with too large a dictionary: xz -9 and below can be read', error)
  }
}

/** XZ_MEMLIMIT_ERROR of xz-embedded. */
const MEMORY_LIMIT = 'failed with error code 4'
