import type { Closure } from './closure.ts'
import { openStoreFile } from './sources/store-file.ts'

export interface ArchiveRead {
  readonly closure: Closure
  readonly signal: AbortSignal
  readonly onBytes: (count: number) => void
}

/** Bytes that are read at once. */
const READ_BYTES = 128 * 1024

/** The bytes of an archive, as they are in its file. */
export async function* archiveBytes(path: string, { closure, signal, onBytes }: ArchiveRead): AsyncGenerator<Buffer> {
  await using file = await openStoreFile(path, closure)
  await using handle = await file.openToRead()
  for await (const chunk of handle.createReadStream({ highWaterMark: READ_BYTES, autoClose: false })) {
    signal.throwIfAborted()
    onBytes(chunk.length)
    yield chunk
  }
}
