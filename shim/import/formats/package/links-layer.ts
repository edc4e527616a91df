import { ROOT, STORE_MTIME } from '../../layers/layer.ts'
import type { TarBytesLayer } from '../../layers/store-image.ts'
import type { ByteString } from '../../store/byte-string.ts'
import { tarfileHeader } from '../../tar/tarfile-header.ts'
import { BLOCK_BYTES, SYMLINK_MODE } from '../../tar/ustar-header.ts'

/** What stands at a path, which has no leading slash: a link to where it leads, or a folder with that mode. */
export type LinkEntry =
  | { readonly name: ByteString; readonly linkName: ByteString }
  | { readonly name: ByteString; readonly mode: number }

/** A layer of links and folders; the same bytes each time. */
export function makeLinksLayer(entries: readonly LinkEntry[]): TarBytesLayer {
  return { kind: 'bytes', bytes: Buffer.concat([...entries.map(headerOf), END]), entries: entries.length }
}

/** Anybody may write there, and remove only his own. */
export const TMP: LinkEntry = { name: 'tmp', mode: 0o1777 }

const END = Buffer.alloc(2 * BLOCK_BYTES)
const COMMON = { ...ROOT, mtime: STORE_MTIME, size: 0 }

function headerOf(entry: LinkEntry): Buffer {
  return 'linkName' in entry
    ? tarfileHeader({ ...COMMON, ...entry, type: 'symlink', mode: SYMLINK_MODE })
    : tarfileHeader({ ...COMMON, ...entry, type: 'directory', name: `${entry.name}/`, linkName: '' })
}
