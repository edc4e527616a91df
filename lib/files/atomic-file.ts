import { randomUUID } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'

export interface AtomicFile {
  readonly mode: number
  /** By default the shim's user and group. */
  readonly owner?: { readonly uid: number; readonly gid: number }
  /** Flush the content to disk before the file gets its name, so that it survives a power loss. */
  readonly synced?: boolean
  /** Several threads or processes may write the file at the same time. */
  readonly shared?: boolean
}

/** Suffix of files that a killed process may have left unfinished. */
export const UNFINISHED = '.new'

/**
 * Replaces a file as a whole: readers see the old or the new content, also after a crash. No other user can read it
 * before it is complete.
 */
export async function writeAtomically(path: string, content: string | Buffer, file: AtomicFile): Promise<void> {
  const unfinished = file.shared ? `${path}.${randomUUID()}${UNFINISHED}` : path + UNFINISHED
  await rm(unfinished, { force: true })
  try {
    await using handle = await open(unfinished, 'wx', 0o600)
    await fill(handle, content, file)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error
  }
  await rename(unfinished, path)
}

async function fill(handle: FileHandle, content: string | Buffer, { mode, owner, synced }: AtomicFile): Promise<void> {
  await handle.writeFile(content)
  if (owner) await handle.chown(owner.uid, owner.gid)
  await handle.chmod(mode)
  if (synced) await handle.sync()
}
