import { constants } from 'node:fs'
import { type FileHandle, open, rename } from 'node:fs/promises'
import { isThere } from '../../../lib/files/is-there.ts'
import { openOwnFolder } from '../../../lib/files/own-files.ts'

/** The files of one log: `NAME`, and `NAME.1` with what came before. */
export interface OwnLogFiles {
  /** Whether there was no `NAME` before. */
  readonly isNew: boolean
  /** Whether there was a `NAME.1` when the log was opened. */
  readonly hasPrevious: boolean
  /** Rotates the log if the text would make it too large. Resolves to whether it did. */
  makeRoom(text: string): Promise<boolean>
  /** All of the text, or nothing. */
  append(text: string): Promise<void>
  /** Whether nobody can find the log any more. */
  isRemoved(): Promise<boolean>
  close(): Promise<void>
}

export interface OwnLogOptions {
  /** Only the shim can write to it. */
  readonly dir: string
  readonly name: string
  /** A larger file is rotated, in bytes. */
  readonly maxSize: number
}

/**
 * Opens or continues a log. A pod with the host's `/var/log` can put symlinks there, also in place of the folder. So the
 * folder is opened once, and neither symlinks nor files with other names are followed. Throws StateDirUnsafe.
 */
export async function openOwnLogFiles({ dir, name, maxSize }: OwnLogOptions): Promise<OwnLogFiles> {
  const folder = await openOwnFolder(dir)
  try {
    const path = `/proc/self/fd/${folder.fd}/${name}`
    const isNew = !(await isThere(path))
    const hasPrevious = await isThere(`${path}.1`)
    return await createFiles({ folder, path, maxSize, isNew, hasPrevious, file: await openFile(path) })
  } catch (error) {
    await folder.close()
    throw error
  }
}

interface OpenLog extends Pick<OwnLogFiles, 'isNew' | 'hasPrevious'> {
  readonly folder: FileHandle
  /** Through the open folder. */
  readonly path: string
  readonly maxSize: number
  readonly file: FileHandle
}

async function createFiles({ folder, path, maxSize, file: first, ...found }: OpenLog): Promise<OwnLogFiles> {
  let file = first
  let { size } = await file.stat()
  return {
    ...found,
    async makeRoom(text) {
      if (size === 0 || size + Buffer.byteLength(text) <= maxSize) return false
      await rename(path, `${path}.1`)
      await file.close()
      file = await openFile(path)
      size = 0
      return true
    },
    async append(text) {
      const bytes = Buffer.from(text)
      try {
        await file.appendFile(bytes)
      } catch (error) {
        // A full disk takes a part.
        await file.truncate(size).catch(() => {})
        throw error
      }
      size += bytes.length
    },
    isRemoved: async () => (await file.stat()).nlink === 0,
    async close() {
      await file.close()
      await folder.close()
    },
  }
}

async function openFile(path: string): Promise<FileHandle> {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants
  const file = await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o640)
  const stats = await file.stat()
  if (stats.isFile() && stats.nlink === 1 && stats.uid === process.geteuid?.()) return file
  await file.close()
  throw new Error('another process has put something in place of the log')
}
