import { ReadableStream } from 'node:stream/web'
import { archiveInvalid } from './invalid.ts'

/**
 * Most memory of the decompressor. The largest preset of xz, -9, has a dictionary of 64 MiB; a file may ask for up to 4 GiB.
 */
const MAX_MEMORY_BYTES = 96 * 1024 * 1024

/** The decompressor is a WebAssembly module, loaded for the few that need it. Throws ArchiveInvalid for too large a dictionary. */
export async function* unxz(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const { default: xz } = await import('xz-decompress')
  const { XzReadableStream } = xz
  for await (const chunk of new XzReadableStream(ReadableStream.from(source))) {
    if (memoryBytes(Reflect.get(XzReadableStream, INSTANCE)) > MAX_MEMORY_BYTES) {
      // All streams of a thread share one instance, whose memory never shrinks: the next one gets another.
      Reflect.set(XzReadableStream, INSTANCE, undefined)
      Reflect.set(XzReadableStream, STARTING, undefined)
      throw archiveInvalid('is compressed with too large a dictionary: xz -9 and below can be read')
    }
    yield Buffer.from(chunk)
  }
}

/** Where the class keeps its module; a test tells when that has changed. */
const INSTANCE = '_moduleInstance'
const STARTING = '_moduleInstancePromise'

function memoryBytes(instance: unknown): number {
  const buffer = ['exports', 'memory', 'buffer'].reduce(property, instance)
  return buffer instanceof ArrayBuffer ? buffer.byteLength : 0
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
