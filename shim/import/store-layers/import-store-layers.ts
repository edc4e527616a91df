import pMap from 'p-map'
import { allSettled } from '../../../lib/async/all-settled.ts'
import { chainsOf } from '../../containerd/chain.ts'
import { checkPlatform, hostPlatform } from '../image/config.ts'
import { CONFIG_TYPE, document, makeManifest } from '../image/manifest.ts'
import type { FilledImage, ImagePlan } from '../image/parsed-image.ts'
import type { NativeImage } from '../layers/store-image.ts'
import { ensureBlob, StaleDigest } from './blobs.ts'
import { fillSnapshots } from './fill-snapshots.ts'
import { type IdentifiedLayer, identifyLayers } from './identify.ts'
import { limitLayers } from './limit-layers.ts'
import type { NativeStage } from './stage.ts'
import { TAR_THREADS } from './tar-threads.ts'

/** Fills containerd with an image by its parts in the store; `base` is there already. Throws the import codes. */
export async function importNative(
  image: NativeImage,
  { base, check }: { readonly base: FilledImage | undefined; readonly check: CheckPlan },
  stage: NativeStage,
): Promise<FilledImage> {
  checkPlatform([image.platform], hostPlatform())
  // Whatever was counted in vain counts no more.
  const once = () => fill(image, { base, check }, { ...stage, limit: stage.limit.part() })
  return once().catch(error => {
    if (error instanceof StaleDigest) return once()
    throw error
  })
}

/** Throws when the image is none that is wanted. */
type CheckPlan = (plan: ImagePlan) => void

async function fill(
  image: NativeImage,
  { base, check }: { readonly base: FilledImage | undefined; readonly check: CheckPlan },
  stage: NativeStage,
): Promise<FilledImage> {
  await limitLayers(image.layers, stage)
  const own = await identifyLayers(image.layers, stage)
  const layers = [...(base?.layers ?? []), ...own]
  const diffIds = layers.map(({ diffId }) => diffId)
  const known = { diffIds, base: base && { config: base.config.bytes, layerNames: base.layerNames } }
  const config = document(CONFIG_TYPE, image.makeConfig(known))
  const manifest = makeManifest(config, layers)
  const chainId = chainsOf(diffIds).at(-1) ?? ''
  const filled = { config, manifest, layers, layerNames: [], chainId }
  check(filled)
  const unpack = () => fillSnapshots(own, base?.chainId ?? '', stage)
  if (!stage.wantsTars) await allSettled([stage.writer.writeDocuments(filled), unpack()])
  else {
    await writeTars(filled, own, stage)
    // Their memory is better used by those that link.
    await stage.tars.close()
    // Afterwards: what cannot be linked is unpacked from these, and would be made twice.
    await unpack()
  }
  return filled
}

/** The manifest comes first: it holds those of the layers' tars that are there. */
async function writeTars(image: FilledImage, own: readonly IdentifiedLayer[], stage: NativeStage): Promise<void> {
  await stage.writer.writeDocuments(image)
  await pMap(own, layer => ensureBlob(layer, stage), { concurrency: TAR_THREADS })
}
