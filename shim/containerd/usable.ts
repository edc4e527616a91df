import type { Calls } from './calls.ts'
import { blobInfo } from './content.ts'
import { areLost, readFolders } from './layer-folders.ts'
import { findSnapshot } from './snapshots.ts'

/** How an image is made, and must be to be of use. */
export interface ImageForm {
  readonly snapshotter: string
  /** `tar`: every layer's blob is in the content store; `linked`: snapshots are enough. */
  readonly layers: 'linked' | 'tar'
}

/** An image record, as far as it tells. */
export interface ToldImage {
  readonly labels: Readonly<Record<string, string>>
  readonly target: { readonly digest: string }
}

export const SNAPSHOTTER_LABEL = 'enbi.hrzn.ee/snapshotter'
const LAYERS_LABEL = 'enbi.hrzn.ee/layers'
/** ChainID of the top layer, empty for an image without layers. */
const CHAIN_LABEL = 'enbi.hrzn.ee/chain-id'

/** For the image's record. */
export function formLabels({ snapshotter, layers }: ImageForm, chainId: string): Record<string, string> {
  return { [SNAPSHOTTER_LABEL]: snapshotter, [LAYERS_LABEL]: layers, [CHAIN_LABEL]: chainId }
}

/**
 * Whether containers can be made of the image: its documents, its snapshots and their files are there, and in tar mode its blobs. Of
 * a record that an older shim wrote it is not known, and it is taken for usable.
 */
export async function isUsable(calls: Calls, { labels, target }: ToldImage, form: ImageForm): Promise<boolean> {
  const chainId = labels[CHAIN_LABEL]
  if (chainId === undefined) return true
  if (labels[SNAPSHOTTER_LABEL] !== form.snapshotter) return false
  if (form.layers === 'tar' && labels[LAYERS_LABEL] !== 'tar') return false
  const [areFilesThere, areBlobsThere] = await Promise.all([
    chainId === '' || hasFiles(calls, form.snapshotter, chainId),
    hasBlobs(calls, target.digest, form.layers),
  ])
  return areFilesThere && areBlobsThere
}

async function hasFiles(calls: Calls, name: string, chainId: string): Promise<boolean> {
  const snapshot = await findSnapshot({ calls, name }, chainId)
  if (!snapshot) return false
  const lost = await areLost(readFolders(snapshot.labels) ?? [])
  return !lost.includes(true)
}

/** The labels by which a manifest holds its config and its layers. */
const CONFIG_REFERENCE = 'containerd.io/gc.ref.content.config'
const LAYER_REFERENCE = 'containerd.io/gc.ref.content.l.'

async function hasBlobs(calls: Calls, manifest: string, layers: ImageForm['layers']): Promise<boolean> {
  const { labels } = (await blobInfo(calls, manifest)) ?? {}
  if (!labels) return false
  const wanted = Object.keys(labels).filter(
    label => label === CONFIG_REFERENCE || (layers === 'tar' && label.startsWith(LAYER_REFERENCE)),
  )
  const found = await Promise.all(wanted.map(label => blobInfo(calls, labels[label] ?? '')))
  return found.every(blob => blob !== undefined)
}
