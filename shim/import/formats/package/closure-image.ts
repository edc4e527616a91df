import { FinalError } from '../../../../lib/errors.ts'
import type { StorePathInfo } from '../../../../recipes/store-path.ts'
import { hostPlatform } from '../../image/config.ts'
import { plainLayer, ROOT, STORE_MTIME, type StoreImage, type TarBytesLayer } from '../../image/store-image.ts'
import type { ByteString } from '../../store/byte-string.ts'
import { BLOCK_BYTES, SYMLINK_MODE, tarfileHeader } from '../../tar/header.ts'
import { splitLayers } from './split-layers.ts'

/** Nixery's maximum, below the limits of overlayfs and others. The layer of links comes on top. */
const MAX_STORE_LAYERS = 94

export interface ClosureImage {
  /** The closure. */
  readonly infos: Iterable<StorePathInfo>
  /** The path whose closure it is. It changes most often, and gets its own layer, so that the others stay the same. */
  readonly storePath: string
  /** Links from the root. */
  readonly links: TarBytesLayer
  /** For the image's config. */
  readonly config: Readonly<Record<string, unknown>>
}

/** Makes an image of a closure, with links from its root. */
export function makeClosureImage({ infos, storePath, links, config }: ClosureImage): StoreImage {
  const stores = [...splitLayers([...infos], storePath, MAX_STORE_LAYERS - 1), [storePath]]
  const layers = [...stores.map(paths => ({ kind: 'storeFiles' as const, files: plainLayer(paths) })), links]
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
  return { created: CREATED, comment: kind === 'storeFiles' ? 'store paths' : 'links to the package' }
}

/** A link or a folder. Its name has no leading slash. */
export type LinkEntry =
  | { readonly name: ByteString; readonly linkName: ByteString }
  | { readonly name: ByteString; readonly mode: number }

/** Everybody may write there, and remove only their own files. */
export const TMP: LinkEntry = { name: 'tmp', mode: 0o1777 }

const END = Buffer.alloc(2 * BLOCK_BYTES)

const COMMON = { ...ROOT, mtime: STORE_MTIME, size: 0 }

/** Makes a layer of links and folders; the bytes are reproducible. */
export function makeLinksLayer(entries: readonly LinkEntry[]): TarBytesLayer {
  return { kind: 'tarBytes', bytes: Buffer.concat([...entries.map(headerOf), END]), entries: entries.length }
}

function headerOf(entry: LinkEntry): Buffer {
  return 'linkName' in entry
    ? tarfileHeader({ ...COMMON, ...entry, type: 'symlink', mode: SYMLINK_MODE })
    : tarfileHeader({ ...COMMON, ...entry, type: 'directory', name: `${entry.name}/`, linkName: '' })
}

/** No image can be made of the package. `reason` continues "no image can be made of the package: ". */
export function packageRefusal(reason: string, cause?: unknown): FinalError {
  return new FinalError('NotAnImage', `no image can be made of the package: ${reason}`, { cause })
}
