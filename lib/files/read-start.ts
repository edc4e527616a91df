import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

export interface FileStart {
  readonly maxBytes: number
  /** Whether the path may be a symlink. */
  readonly followsLink: boolean
}

/** The first bytes of a file, as text. Rejects if it is a pipe, a device or a folder. */
export async function readStart(path: string, { maxBytes, followsLink }: FileStart): Promise<string> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (followsLink ? 0 : constants.O_NOFOLLOW)
  await using file = await open(path, flags)
  if (!(await file.stat()).isFile()) throw new Error(`${path} is not a file`)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes), 0, maxBytes, 0)
  return buffer.toString('utf8', 0, bytesRead)
}
