import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'
import { STORE_MTIME } from '../layers/layer.ts'
import type { TarBytesLayer } from './native-image.ts'
import { isThere } from './package-files.ts'

/** Folders of a package that programs look for at the root. */
const LINKED = ['bin', 'etc', 'share']

/** The layer with links from the root to a package's folders, and a /tmp; the same bytes each time. */
export async function makePackageLinks(folder: string): Promise<TarBytesLayer> {
  const archive = pack()
  const common = { uid: 0, gid: 0, uname: 'root', gname: 'root', mtime: new Date(STORE_MTIME * 1000) }
  for (const name of LINKED) {
    const linkname = join(folder, name)
    if (await isThere(linkname)) archive.entry({ ...common, name, type: 'symlink', linkname, mode: 0o777 })
  }
  archive.entry({ ...common, name: 'tmp', type: 'directory', mode: 0o1777 })
  archive.finalize()
  return { kind: 'bytes', bytes: await buffer(archive) }
}
