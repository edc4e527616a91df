import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'
import { STORE_MTIME } from '../layers/layer.ts'

/** What of a package is found at the root of its image. */
const LINKED = ['bin', 'etc', 'share']

const ROOT = { uid: 0, gid: 0, uname: 'root', gname: 'root', mtime: new Date(STORE_MTIME * 1000) }

/** The tar of links from the root to a package's folders, and of a /tmp, which programs take for granted. */
export async function rootLinksTar(folder: string): Promise<Buffer> {
  const tar = pack()
  const bytes = buffer(tar)
  for (const name of LINKED)
    if (await isThere(join(folder, name)))
      tar.entry({ ...ROOT, name, type: 'symlink', linkname: `${folder}/${name}`, mode: 0o777 })
  tar.entry({ ...ROOT, name: 'tmp', type: 'directory', mode: 0o1777 })
  tar.finalize()
  return bytes
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}
