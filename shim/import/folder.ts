import { constants } from 'node:fs'
import { type FileHandle, open, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { BlobStore } from './blob-store.ts'
import { compressionOf, MAGIC_BYTES } from './compression.ts'
import { archiveInvalid } from './invalid.ts'
import { MAX_JSON_BYTES } from './json.ts'
import type { LayoutFiles } from './layout-files.ts'
import { promisedDigest, storeLayer } from './store-layer.ts'

/** Bytes that are read at once. */
const READ_BYTES = 256 * 1024

/** The files of an OCI layout folder. Links that lead out of the folder are refused as ArchiveInvalid. */
export async function openFolder(
  path: string,
  store: BlobStore,
  onBytes: (bytes: number) => void,
): Promise<LayoutFiles> {
  const root = await realpath(path)
  return {
    async readDocument(name) {
      await using file = await openInside(root, name)
      if (!file) return undefined
      if (file.size > MAX_JSON_BYTES) throw archiveInvalid(`has a ${name} longer than ${MAX_JSON_BYTES}`)
      return await file.handle.readFile()
    },
    async storeLayer(name) {
      await using file = await openInside(root, name)
      if (!file) return undefined
      const { size } = file
      const digest = promisedDigest(name)
      if (digest && (await store.find(digest)) === size) {
        onBytes(size)
        return { digest, size, compression: compressionOf(await readHead(file.handle)) }
      }
      return await storeLayer(store, { name, size, bytes: readAll(file.handle, onBytes) })
    },
  }
}

interface OpenFile extends AsyncDisposable {
  readonly handle: FileHandle
  readonly size: number
}

async function openInside(root: string, name: string): Promise<OpenFile | undefined> {
  const real = await realpath(join(root, name)).catch(unlessMissing)
  if (real === undefined) return undefined
  if (!real.startsWith(root + sep)) throw archiveInvalid(`holds a link out of its folder: ${name}`)
  const handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  const stats = await handle.stat()
  if (!stats.isFile()) {
    await handle.close()
    throw archiveInvalid(`holds ${name}, which is no file`)
  }
  return { handle, size: stats.size, [Symbol.asyncDispose]: () => handle.close() }
}

function unlessMissing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return
  throw error
}

async function readHead(handle: FileHandle): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAGIC_BYTES), 0, MAGIC_BYTES, 0)
  return buffer.subarray(0, bytesRead)
}

async function* readAll(handle: FileHandle, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  for (;;) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES)
    if (bytesRead === 0) return
    onBytes(bytesRead)
    yield buffer.subarray(0, bytesRead)
  }
}
