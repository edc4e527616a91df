import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'

/** An entry of a tar, sensible or not. */
export interface Entry {
  readonly name: string
  readonly content?: string | Buffer
  readonly symlink?: string
  readonly link?: string
  readonly type?: 'directory' | 'fifo'
  readonly mode?: number
}

export async function tar(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack()
  for (const { name, content, symlink, link, type, mode = 0o755 } of entries) {
    if (symlink !== undefined) archive.entry({ name, type: 'symlink', linkname: symlink })
    else if (link !== undefined) archive.entry({ name, type: 'link', linkname: link })
    else if (type !== undefined) archive.entry({ name, type, mode })
    else archive.entry({ name, mode }, content ?? '')
  }
  archive.finalize()
  return buffer(archive)
}
