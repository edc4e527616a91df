import type { FileHandle } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { archiveInvalid } from '../image/errors.ts'
import { MAX_JSON_BYTES } from '../image/json.ts'
import type { Closure } from '../store/closure.ts'
import { bytesOf } from '../store/store-file.ts'
import { passing } from '../streams/streams.ts'
import { type LayerTarget, type LayoutFiles, storeLayer } from './layout.ts'

/** The files of an OCI layout folder. Throws ArchiveInvalid for links that lead out of the folder. */
export function openFolder(
  path: string,
  { closure, store, limit, onBytes }: LayerTarget & { closure: Closure; onBytes: (bytes: number) => void },
): LayoutFiles {
  const withFile = <T>(name: string, read: (file: OpenFile) => Promise<T>) =>
    withFileInside({ path, closure }, name, read)
  const target = { store, limit: limit.part() }
  return {
    async readDocument(name) {
      return withFile(name, async ({ handle, size }) => {
        if (size > MAX_JSON_BYTES) throw archiveInvalid(`has a ${name} longer than ${MAX_JSON_BYTES}`)
        return handle.readFile()
      })
    },
    async storeLayer(name) {
      return withFile(name, ({ handle, size }) =>
        storeLayer(target, { name, size, bytes: passing(bytesOf(handle), chunk => onBytes(chunk.length)) }),
      )
    },
  }
}

interface OpenFile {
  readonly handle: FileHandle
  readonly size: number
}

/** Undefined if there is no such file. */
async function withFileInside<T>(
  { path, closure }: { readonly path: string; readonly closure: Closure },
  name: string,
  read: (file: OpenFile) => Promise<T>,
): Promise<T | undefined> {
  await using found = await closure.find(join(path, name))
  if (found === undefined) return undefined
  if (!found.path.startsWith(path + sep)) throw archiveInvalid(`holds a link out of its folder: ${name}`)
  if (!found.stats.isFile()) throw archiveInvalid(`holds ${name}, which is not a file`)
  await using handle = await found.openToRead()
  return await read({ handle, size: found.stats.size })
}
