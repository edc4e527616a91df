import pMap from 'p-map'
import { allSettled } from '../../../lib/async/all-settled.ts'
import { chainsOf } from '../../containerd/snapshot-store.ts'
import { checkPlatform, hostPlatform } from '../image/config.ts'
import { CONFIG_TYPE, makeDocument, makeManifest, type ParsedImage, type UnpackedImage } from '../image/parsed-image.ts'
import { ENTRY_BYTES } from '../image/size-limit.ts'
import { type StoreImage, type StoreLayer, storePathsOf } from '../image/store-image.ts'
import { requireInfos } from '../store/closure.ts'
import { commitSnapshots, ensureBlob, StaleDigest } from './commit-snapshots.ts'
import { computeDigests, type DigestedLayer } from './compute-digests.ts'
import type { StoreLayersContext } from './context.ts'
import { TAR_THREADS } from './tar-threads.ts'

export interface StoreImageImport {
  readonly image: StoreImage
  /** The image's base, whose snapshots are in containerd already. */
  readonly base: UnpackedImage | undefined
  /** Throws if the image is not acceptable. */
  readonly check: (image: ParsedImage) => void
}

/** Brings an image of store layers into containerd, except for its records. Throws the import codes of the catalog. */
export async function importStoreImage(request: StoreImageImport, context: StoreLayersContext): Promise<UnpackedImage> {
  checkPlatform([request.image.platform], hostPlatform())
  // Each attempt starts with the whole limit.
  const attempt = () => importOnce(request, { ...context, limit: context.limit.part() })
  return attempt().catch(error => {
    if (error instanceof StaleDigest) return attempt()
    throw error
  })
}

async function importOnce(
  { image, base, check }: StoreImageImport,
  context: StoreLayersContext,
): Promise<UnpackedImage> {
  countKnownSizes(image.layers, context)
  const own = await computeDigests(image.layers, context)
  const imported = assemble(image, base, own)
  check(imported)
  const commit = () => commitSnapshots(own, base?.chainId ?? '', context)
  if (!context.wantsTars) await allSettled([context.writer.writeDocuments(imported), commit()])
  else {
    await writeTars(imported, own, context)
    // The threads that link files can use their memory.
    await context.tars.close()
    // Last, since layers that cannot be linked are unpacked from these tars.
    await commit()
  }
  return imported
}

/**
 * Counts the sizes that are known before a layer is read: of a store path, the size of its NAR, once for each time that the image
 * lists it. Throws ImageTooLarge.
 */
function countKnownSizes(layers: readonly StoreLayer[], { closure, limit }: StoreLayersContext): void {
  const paths = layers.flatMap(layer => (layer.kind === 'storeFiles' ? storePathsOf(layer.files) : []))
  const infos = requireInfos(closure, paths)
  for (const path of paths) limit.add(infos.get(path)?.narSize ?? 0)
  for (const layer of layers) if (layer.kind === 'tarBytes') limit.add(layer.bytes.length + layer.entries * ENTRY_BYTES)
}

function assemble(image: StoreImage, base: UnpackedImage | undefined, own: readonly DigestedLayer[]): UnpackedImage {
  const layers = [...(base?.layers ?? []), ...own]
  const diffIds = layers.map(({ diffId }) => diffId)
  const known = { diffIds, base: base && { config: base.config.bytes, layerNames: base.layerNames } }
  const config = makeDocument(CONFIG_TYPE, image.makeConfig(known))
  const manifest = makeManifest(config, layers)
  return { config, manifest, layers, layerNames: [], chainId: chainsOf(diffIds).at(-1) ?? '' }
}

/** Writes the manifest first: it holds those tars of its layers that are in containerd already. */
async function writeTars(
  image: UnpackedImage,
  own: readonly DigestedLayer[],
  context: StoreLayersContext,
): Promise<void> {
  await context.writer.writeDocuments(image)
  await pMap(own, layer => ensureBlob(layer, context), { concurrency: TAR_THREADS })
}
