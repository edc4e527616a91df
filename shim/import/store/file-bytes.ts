import type { FileHandle } from 'node:fs/promises'
import type { Closure } from './closure.ts'
import { openStoreFile } from './store-file.ts'

/** Bytes that are read at once. */
const READ_BYTES = 128 * 1024

/**
 * Has `use` read a file that an image names. The file is closed afterwards, however much of it was read: a generator that nobody
 * has begun to read, or that its reader gives up in silence, would leave it open. Throws as openStoreFile.
 */
export async function withFileBytes<T>(
  path: string,
  closure: Closure,
  use: (bytes: AsyncGenerator<Buffer>) => Promise<T>,
): Promise<T> {
  await using file = await openStoreFile(path, closure)
  await using handle = await file.openToRead()
  return await use(bytesOf(handle))
}

/** From where the file stands. */
export async function* bytesOf(handle: FileHandle): AsyncGenerator<Buffer> {
  for (;;) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}
