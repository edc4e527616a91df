import { join } from 'node:path'
import { bytesOf } from '../layers/byte-string.ts'
import { type LinkEntry, makeLinksLayer, TMP } from './links-layer.ts'
import { isThere } from './package-files.ts'
import type { TarBytesLayer } from './store-layer-image.ts'

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
