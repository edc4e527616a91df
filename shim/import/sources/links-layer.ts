import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'
import { STORE_MTIME } from '../layers/layer.ts'
import type { TarBytesLayer } from './native-image.ts'

/** What stands at a path, which has no leading slash: a link to where it leads, or a folder with that mode. */
export type LinkEntry =
  | { readonly name: string; readonly linkname: string }
  | { readonly name: string; readonly mode: number }

/** A layer of links and folders; the same bytes each time. */
export async function makeLinksLayer(entries: readonly LinkEntry[]): Promise<TarBytesLayer> {
  const archive = pack()
  const common = { uid: 0, gid: 0, uname: 'root', gname: 'root', mtime: new Date(STORE_MTIME * 1000) }
  for (const entry of entries)
    archive.entry(
      'linkname' in entry
        ? { ...common, ...entry, type: 'symlink', mode: 0o777 }
        : { ...common, ...entry, type: 'directory' },
    )
  archive.finalize()
  return { kind: 'bytes', bytes: await buffer(archive) }
}

/** Anybody may write there, and remove only his own. */
export const TMP: LinkEntry = { name: 'tmp', mode: 0o1777 }
