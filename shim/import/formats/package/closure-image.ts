import type { StorePathInfo } from '../../../../recipes/store-path.ts'
import { hostPlatform } from '../../image/config.ts'
import { plainLayer, ROOT, STORE_MTIME } from '../../layers/layer.ts'
import type { StoreImage, TarBytesLayer } from '../../layers/store-image.ts'
import type { ByteString } from '../../store/byte-string.ts'
import { tarfileHeader } from '../../tar/tarfile-header.ts'
import { BLOCK_BYTES, SYMLINK_MODE } from '../../tar/ustar-header.ts'
import { splitLayers } from './split-layers.ts'

/** What stands at a path, which has no leading slash: a link to where it leads, or a folder with that mode. */
export type LinkEntry =
  | { readonly name: ByteString; readonly linkName: ByteString }
  | { readonly name: ByteString; readonly mode: number }

/** Anybody may write there, and remove only his own. */
export const TMP: LinkEntry = { name: 'tmp', mode: 0o1777 }

const END = Buffer.alloc(2 * BLOCK_BYTES)

const COMMON = { ...ROOT, mtime: STORE_MTIME, size: 0 }

/** As many as Nixery makes at most, which leaves room below what file systems of layers take; with the links it is one more. */
const MAX_STORE_LAYERS = 94

export interface ClosureImage {
  /** All that is in it. */
  readonly infos: Iterable<StorePathInfo>
  /** The one of these that needs all others, and changes most often: it has a layer of its own, so that it changes no other. */
  readonly storePath: string
  /** Links from the root. */
  readonly links: TarBytesLayer
  /** Of the image's config. */
  readonly config: Readonly<Record<string, unknown>>
}

/** An image of a closure, with links from its root. */
export function makeClosureImage({ infos, storePath, links, config }: ClosureImage): StoreImage {
  const stores = [...splitLayers([...infos], storePath, MAX_STORE_LAYERS - 1), [storePath]]
  const layers = [...stores.map(paths => ({ kind: 'files' as const, layer: plainLayer(paths) })), links]
  const platform = hostPlatform()
  return {
    platform,
    layers,
    makeConfig({ diffIds }) {
      const rootfs = { type: 'layers', diff_ids: diffIds }
      return Buffer.from(
        JSON.stringify({ created: CREATED, ...platform, config, rootfs, history: layers.map(toHistory) }),
      )
    },
  }
}

/** As old as everything in the store. */
const CREATED = new Date(STORE_MTIME * 1000).toISOString().replace('.000', '')

function toHistory({ kind }: { readonly kind: string }) {
  return { created: CREATED, comment: kind === 'files' ? 'store paths' : 'links to the package' }
}

/** A layer of links and folders; the same bytes each time. */
export function makeLinksLayer(entries: readonly LinkEntry[]): TarBytesLayer {
  return { kind: 'bytes', bytes: Buffer.concat([...entries.map(headerOf), END]), entries: entries.length }
}

function headerOf(entry: LinkEntry): Buffer {
  return 'linkName' in entry
    ? tarfileHeader({ ...COMMON, ...entry, type: 'symlink', mode: SYMLINK_MODE })
    : tarfileHeader({ ...COMMON, ...entry, type: 'directory', name: `${entry.name}/`, linkName: '' })
}
