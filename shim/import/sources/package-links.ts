import { join } from 'node:path'
import { type LinkEntry, makeLinksLayer, TMP } from './links-layer.ts'
import type { TarBytesLayer } from './native-image.ts'
import { isThere } from './package-files.ts'

/** Folders of a package that programs look for at the root. */
const LINKED = ['bin', 'etc', 'share']

/** The layer with links from the root to a package's folders, and a /tmp. */
export async function makePackageLinks(folder: string): Promise<TarBytesLayer> {
  const entries: LinkEntry[] = []
  for (const name of LINKED) {
    const linkname = join(folder, name)
    if (await isThere(linkname)) entries.push({ name, linkname })
  }
  return makeLinksLayer([...entries, TMP])
}
