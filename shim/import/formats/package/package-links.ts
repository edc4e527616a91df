import { join } from 'node:path'
import type { TarBytesLayer } from '../../layers/store-image.ts'
import { bytesOf } from '../../store/byte-string.ts'
import { isThere } from '../../store/package-files.ts'
import { type LinkEntry, makeLinksLayer, TMP } from './links-layer.ts'

/** Folders of a package that programs look for at the root. */
const LINKED = ['bin', 'etc', 'share']

/** The layer with links from the root to a package's folders, and a /tmp. */
export async function makePackageLinks(folder: string): Promise<TarBytesLayer> {
  const entries: LinkEntry[] = []
  for (const name of LINKED) {
    const target = join(folder, name)
    if (await isThere(target)) entries.push({ name, linkName: bytesOf(target) })
  }
  return makeLinksLayer([...entries, TMP])
}
