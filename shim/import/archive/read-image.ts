import type { ImageOutput } from '../formats/build-output.ts'
import { hostPlatform } from '../image/config.ts'
import { archiveInvalid } from '../image/errors.ts'
import { MAX_DOCUMENT_BYTES } from '../image/json.ts'
import type { ArchivePlan } from '../image/parsed-image.ts'
import type { Closure } from '../store/closure.ts'
import { withFileBytes } from '../store/file-bytes.ts'
import { decompress } from '../streams/compression.ts'
import { passing } from '../streams/passing.ts'
import { DOCKER_MANIFEST, layerNamesIn, planDockerArchive } from './docker-archive.ts'
import type { LayoutFiles, OnLayer, StoredLayer } from './layout.ts'
import { refuseMountPoints } from './mount-points.ts'
import { blobName, OCI_INDEX, OCI_LAYOUT } from './oci-index.ts'
import { planOciLayout } from './oci-layout.ts'
import { openFolder } from './open-folder.ts'
import { readArchive } from './read-archive.ts'
import type { LayerPlace } from './store-layer.ts'

export interface ReadImage extends LayerPlace {
  /** Normalised reference of the image that is wanted; missing: of a base image. */
  readonly image: string | undefined
  readonly closure: Closure
  readonly signal: AbortSignal
  /** Hears of each layer once the store has it, while an archive is read by where it stands in that, and at last by the image's order. */
  readonly onLayer: OnLayer
  /** Bytes read so far, of how many (missing for a folder). */
  readonly onRead: (doneBytes: number, totalBytes?: number) => void
}

/** Reads a build output, whatever its form, once; its layers are in the store then. Throws the import codes of the catalogue. */
export async function readImage(output: ImageOutput, read: ReadImage): Promise<ArchivePlan> {
  const files = countDocuments(await openLayout(output, read))
  const layers: StoredLayer[] = []
  const onLayer: OnLayer = (layer, place) => {
    layers.push(layer)
    read.onLayer(layer, place)
  }
  const planning = { host: hostPlatform(), wanted: read.image, onLayer }
  const [layout, index, manifest] = await Promise.all(
    [OCI_LAYOUT, OCI_INDEX, DOCKER_MANIFEST].map(name => files.readDocument(name)),
  )
  // Newer docker saves are both; the OCI part has the digests that the image had where it came from.
  if (layout && index) {
    const plan = await planOciLayout(files, index, planning)
    refuseMountPoints(plan, layers)
    return manifest ? { ...plan, layerNames: layerNamesIn(manifest, blobName(plan.config.digest)) } : plan
  }
  if (manifest) {
    const plan = await planDockerArchive(files, manifest, planning)
    refuseMountPoints(plan, layers)
    return plan
  }
  throw archiveInvalid(`has no image: neither ${DOCKER_MANIFEST} nor ${OCI_LAYOUT} with ${OCI_INDEX} is in it`)
}

/** Each is read into memory, and an image may name one as often as it likes. */
function countDocuments(files: LayoutFiles): LayoutFiles {
  let left = MAX_DOCUMENT_BYTES
  return {
    ...files,
    async readDocument(name) {
      const bytes = await files.readDocument(name)
      left -= bytes?.length ?? 0
      if (left < 0) throw archiveInvalid(`names documents of more than ${MAX_DOCUMENT_BYTES} bytes`)
      return bytes
    },
  }
}

function openLayout(
  output: ImageOutput,
  { closure, store, limit, signal, onLayer, onRead }: ReadImage,
): Promise<LayoutFiles> | LayoutFiles {
  const place = { store, limit }
  let done = 0
  const onBytes = (count: number) => {
    signal.throwIfAborted()
    done += count
    onRead(done, output.kind === 'archive' ? output.size : undefined)
  }
  if (output.kind === 'folder') return openFolder(output.path, { closure, ...place, onBytes })
  return withFileBytes(output.path, closure, bytes =>
    readArchive(decompress(passing(bytes, chunk => onBytes(chunk.length))), place, onLayer),
  )
}
