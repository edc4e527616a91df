import type { Calls } from '../../lib/grpc/client.ts'
import { areLost, parseFolders } from './layer-folders.ts'
import { IMAGE_ID_LABEL, type LayerMode } from './services/constants.ts'
import { blobInfo } from './services/content.ts'
import type { ImageRecord } from './services/images.ts'
import { findSnapshot } from './services/snapshots.ts'

/** How the images of this node are made. An image of another form is made again. */
export interface ImageForm {
  readonly snapshotter: string
  readonly layers: LayerMode
}

export const SNAPSHOTTER_LABEL = 'enbi.hrzn.ee/snapshotter'
const LAYERS_LABEL = 'enbi.hrzn.ee/layers'
/** ChainID of the top layer, empty for an image without layers. */
const CHAIN_LABEL = 'enbi.hrzn.ee/chain-id'

/** Labels of the image record. */
export function formLabels({ snapshotter, layers }: ImageForm, chainId: string): Record<string, string> {
  return { [SNAPSHOTTER_LABEL]: snapshotter, [LAYERS_LABEL]: layers, [CHAIN_LABEL]: chainId }
}

/** Whether the image was made in tar mode. */
export function isOfTars({ labels }: ImageRecord): boolean {
  return labels[LAYERS_LABEL] === 'tar'
}

/**
 * Whether containers can be made of the image: its config, manifest, snapshots and their files exist, and in tar mode its blobs.
 * A record of an older shim lacks the labels to check this, and counts as usable.
 */
export async function isUsable(calls: Calls, image: ImageRecord, form: ImageForm): Promise<boolean> {
  const { labels } = image
  const chainId = labels[CHAIN_LABEL]
  if (chainId === undefined) return true
  if (labels[SNAPSHOTTER_LABEL] !== form.snapshotter) return false
  if (form.layers === 'tar' && !isOfTars(image)) return false
  const [areFilesThere, areBlobsThere] = await Promise.all([
    chainId === '' || hasFiles(calls, form.snapshotter, chainId),
    hasBlobs(calls, image, form.layers),
  ])
  return areFilesThere && areBlobsThere
}

async function hasFiles(calls: Calls, name: string, chainId: string): Promise<boolean> {
  const snapshot = await findSnapshot({ calls, name }, chainId)
  if (!snapshot) return false
  const lost = await areLost(parseFolders(snapshot.labels) ?? [])
  return !lost.includes(true)
}

/** Prefix of the labels by which a manifest holds its layers. */
const LAYER_REFERENCE = 'containerd.io/gc.ref.content.l.'

async function hasBlobs(calls: Calls, { labels, target }: ImageRecord, layers: ImageForm['layers']): Promise<boolean> {
  const [manifest, config] = await Promise.all([
    blobInfo(calls, target.digest),
    blobInfo(calls, labels[IMAGE_ID_LABEL] ?? ''),
  ])
  if (!manifest || !config) return false
  if (layers === 'linked') return true
  const references = Object.entries(manifest.labels).filter(([label]) => label.startsWith(LAYER_REFERENCE))
  const found = await Promise.all(references.map(([, digest]) => blobInfo(calls, digest)))
  return found.every(blob => blob !== undefined)
}
