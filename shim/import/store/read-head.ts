import type { FileHandle } from 'node:fs/promises'

/** The first `length` bytes of a file, or fewer when it is shorter. */
export async function readHead(handle: FileHandle, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, 0)
  return buffer.subarray(0, bytesRead)
}
