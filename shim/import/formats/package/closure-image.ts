import { hostPlatform } from '../../image/config.ts'
import type { StorePathInfo } from '../../image/contract.ts'
import { plainLayer, STORE_MTIME } from '../../layers/layer.ts'
import type { NativeImage, TarBytesLayer } from '../../layers/store-image.ts'
import { splitLayers } from './split-layers.ts'

/** As many as Nixery makes at most, which leaves room below what file systems of layers take; with the links it is one more. */
const MAX_STORE_LAYERS = 94

export interface StoreImage {
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
export function makeStoreImage({ infos, storePath, links, config }: StoreImage): NativeImage {
  const stores = [...splitLayers([...infos], storePath, MAX_STORE_LAYERS - 1), [storePath]]
  const layers = [...stores.map(paths => ({ kind: 'store' as const, layer: plainLayer(paths) })), links]
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
  return { created: CREATED, comment: kind === 'store' ? 'store paths' : 'links to the package' }
}
