import { measureLayer } from '../measure-layer.ts'
import type { NativeLayer, TarFileLayer } from '../sources/native-image.ts'
import type { NativeStage } from './stage.ts'
import { fileBytes } from './verify-file.ts'

/**
 * Counts the layers before any of them is made or linked. Of store paths it is the sizes of their NARs that count, as
 * often as an image lists them. Throws ImageTooLarge, and ArchiveInvalid for a tar that nobody knows the size of.
 */
export async function limitLayers(layers: readonly NativeLayer[], stage: NativeStage): Promise<void> {
  const { paths, limit } = stage
  const listed = layers.flatMap(pathsOf)
  const infos = await paths.infoOf(listed)
  for (const path of listed) limit.add(infos.get(path)?.narSize ?? 0)
  for (const layer of layers) {
    if (layer.kind === 'bytes') limit.add(layer.bytes.length)
    if (layer.kind === 'file') await measureFile(layer, stage)
  }
}

function pathsOf(layer: NativeLayer): readonly string[] {
  if (layer.kind === 'store') return layer.layer.paths
  return layer.kind === 'merged' ? layer.layer.paths.map(({ path }) => path) : []
}

/** containerd unpacks it, whatever it holds. */
async function measureFile({ path }: TarFileLayer, { closure, limit, signal }: NativeStage): Promise<void> {
  const { bytes } = await measureLayer(fileBytes(path, closure), limit)
  for await (const _ of bytes) signal.throwIfAborted()
}
