import { ENTRY_BYTES } from '../image/size-limit.ts'
import { storePathsOf } from '../layers/files-layer.ts'
import type { NativeLayer } from '../layers/store-image.ts'
import type { NativeStage } from './stage.ts'

/**
 * Counts what is known without reading it, before any layer is made or linked. Of store paths it is the sizes of their NARs that
 * count, as often as an image lists them. Throws ImageTooLarge.
 */
export async function limitLayers(layers: readonly NativeLayer[], { paths, limit }: NativeStage): Promise<void> {
  const listed = layers.flatMap(layer =>
    layer.kind === 'store' || layer.kind === 'merged' ? storePathsOf(layer.layer) : [],
  )
  const infos = await paths.infoOf(listed)
  for (const path of listed) limit.add(infos.get(path)?.narSize ?? 0)
  for (const layer of layers) if (layer.kind === 'bytes') limit.add(layer.bytes.length + layer.entries * ENTRY_BYTES)
}
