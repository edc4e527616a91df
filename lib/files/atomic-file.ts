import { randomUUID } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'

export interface AtomicFile {
  readonly mode: number
  /** The shim's user and group unless given. */
  readonly owner?: { readonly uid: number; readonly gid: number }
  /** The file survives a loss of power as soon as it has its name. */
  readonly synced?: boolean
  /** Several threads or processes may write it at the same time. */
  readonly shared?: boolean
}

/** Ends the name of a file that a killed process may have left unfinished. */
export const UNFINISHED = '.new'

/** Writes a file whole: readers see the file before, also after a crash, or this one. Nobody else can read it before it is whole. */
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
