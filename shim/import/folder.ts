import { constants } from 'node:fs'
import { type FileHandle, open, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { hasCode } from '../error-code.ts'
import { archiveInvalid } from './invalid.ts'
import { MAX_JSON_BYTES } from './json.ts'
import type { LayoutFiles } from './layout-files.ts'
import { type LayerPlace, storeLayer } from './store-layer.ts'

/** Bytes that are read at once. */
const READ_BYTES = 128 * 1024

/** The files of an OCI layout folder. Links that lead out of the folder are refused as ArchiveInvalid. */
export async function openFolder(
  path: string,
  { store, limit }: LayerPlace,
  onBytes: (bytes: number) => void,
): Promise<LayoutFiles> {
  const root = await realpath(path)
  const place = { store, limit: limit.part() }
  return {
    async readDocument(name) {
      return withFileInside(root, name, async ({ handle, size }) => {
        if (size > MAX_JSON_BYTES) throw archiveInvalid(`has a ${name} longer than ${MAX_JSON_BYTES}`)
        return handle.readFile()
      })
    },
    async storeLayer(name) {
      return withFileInside(root, name, ({ handle, size }) =>
        storeLayer(place, { name, size, bytes: readAll(handle, onBytes) }),
      )
    },
  }
}

interface OpenFile {
  readonly handle: FileHandle
  readonly size: number
}

/** Undefined when there is no such file. */
async function withFileInside<T>(
  root: string,
  name: string,
  read: (file: OpenFile) => Promise<T>,
): Promise<T | undefined> {
  const real = await realpath(join(root, name)).catch(unlessMissing)
  if (real === undefined) return undefined
  if (!real.startsWith(root + sep)) throw archiveInvalid(`holds a link out of its folder: ${name}`)
  const handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw archiveInvalid(`holds ${name}, which is no file`)
    return await read({ handle, size: stats.size })
  } finally {
    await handle.close()
  }
}

function unlessMissing(error: unknown): undefined {
  if (hasCode(error, 'ENOENT', 'ENOTDIR')) return
  throw error
}

async function* readAll(handle: FileHandle, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  for (;;) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES)
    if (bytesRead === 0) return
    onBytes(bytesRead)
    yield buffer.subarray(0, bytesRead)
  }
}
