import type { ImageWriter } from '../../containerd/image-writer.ts'
import { blobInfo } from '../../containerd/services/content.ts'
import { chainsOf, type SnapshotStore } from '../../containerd/snapshot-store.ts'
import { createUnpacker, type Unpacker } from '../../containerd/unpack.ts'
import type { ImportProgress } from '../image/contract.ts'
import type { ParsedImage, UnpackedImage } from '../image/parsed-image.ts'
import type { SizeLimit } from '../image/size-limit.ts'
import type { Closure, StoreInfos } from '../store/closure.ts'
import { layerTypeOf } from '../streams/measure-layer.ts'
import { type ImageCache, imageKey } from './image-cache.ts'
import type { ArchiveImage, StoredLayer } from './layout.ts'
import { type ArchiveOutput, readImage } from './read-image.ts'

/** What the import of an archive uses. */
export interface ArchiveContext {
  readonly closure: Closure
  /** Closure of the package. It differs from `closure` if the package is a program that has written the archive. */
  readonly packageInfos: StoreInfos
  readonly snapshots: SnapshotStore
  readonly writer: ImageWriter
  readonly images: ImageCache
  readonly limit: SizeLimit
  readonly signal: AbortSignal
  readonly onProgress: (progress: ImportProgress) => void
}

export interface ArchiveRequest {
  /** Path of the build result below the Nix store: a key of the cache. */
  readonly storePath: string
  /** Normalized reference of the wanted image, in case there are several; missing for a base image. */
  readonly image: string | undefined
  /** Whether the snapshots are enough, without the blobs that they were made from. */
  readonly withoutBlobs: boolean
  /** Throws if the image is not acceptable. */
  readonly check: (image: ParsedImage) => void
}

export interface ArchiveImport extends ArchiveRequest {
  readonly output: ArchiveOutput
}

/** Brings the layers of an image in an archive or layout into containerd, and unpacks them. */
export async function importArchive(request: ArchiveImport, context: ArchiveContext): Promise<UnpackedImage> {
  const recalled = await recallArchive(request, context)
  if (recalled) return recalled
  const unpacking = startUnpacking(context)
  const { isOneOfSeveral, ...image } = await read(request, unpacking.unpacker, context)
  context.limit.add(image.unpackedSize)
  request.check(image)
  const unpacked = await unpacking.complete(image)
  await context.images.remember(isOneOfSeveral ? namedKey(request, context) : commonKey(request, context), image)
  return unpacked
}

/** Unpacks an image that was read before, without reading it; undefined if containerd lacks something that is needed. */
export async function recallArchive(
  request: ArchiveRequest,
  context: ArchiveContext,
): Promise<UnpackedImage | undefined> {
  const { images } = context
  const image = (await images.recall(commonKey(request, context))) ?? (await images.recall(namedKey(request, context)))
  if (!image) return undefined
  const [chainId, areThere] = await Promise.all([findUnpacked(image, context), areBlobsThere(image, context)])
  if (!areThere && !(request.withoutBlobs && chainId !== undefined)) return undefined
  context.limit.add(image.unpackedSize)
  request.check(image)
  return chainId === undefined ? startUnpacking(context).complete(image) : { ...image, chainId }
}

function commonKey({ storePath }: ArchiveRequest, { packageInfos }: ArchiveContext): string {
  return imageKey(storePath, packageInfos)
}

function namedKey({ storePath, image = '' }: ArchiveRequest, { packageInfos }: ArchiveContext): string {
  return imageKey(storePath, packageInfos, image)
}

function startUnpacking({ snapshots, onProgress }: ArchiveContext) {
  let layerCount: number | undefined
  const unpacker = createUnpacker({
    snapshots,
    onUnpacked(done) {
      if (layerCount !== undefined) onProgress({ phase: 'unpacking', done, expected: layerCount })
    },
  })
  return {
    unpacker,
    async complete(image: ParsedImage): Promise<UnpackedImage> {
      layerCount = image.layers.length
      return { ...image, chainId: await unpacker.complete(image.layers) }
    },
  }
}

/** ChainID of the image's snapshot, empty for no layers; undefined if it or one below it is missing or lost its files. */
async function findUnpacked({ layers }: ParsedImage, { snapshots }: ArchiveContext): Promise<string | undefined> {
  const chain = chainsOf(layers.map(({ diffId }) => diffId))
  const count = await snapshots.inspect(chain)
  return count === chain.length && !chain.some(snapshots.isLost) ? (chain.at(-1) ?? '') : undefined
}

/** Whether containerd still has manifest and layers; the lease holds them from now on. */
async function areBlobsThere(
  { manifest, layers }: ParsedImage,
  { snapshots, writer }: ArchiveContext,
): Promise<boolean> {
  // The manifest in containerd holds its layers.
  if ((await writer.find(manifest.digest)) === undefined) return false
  const found = await Promise.all(layers.map(({ digest }) => blobInfo(snapshots.lease.calls, digest)))
  return layers.every(({ size }, index) => found[index]?.size === size)
}

function read({ output, image }: ArchiveImport, unpacker: Unpacker, context: ArchiveContext): Promise<ArchiveImage> {
  return readImage(output, {
    ...context,
    image,
    store: context.writer,
    onLayer: (layer, place) => expectLayer(unpacker, layer, place),
    onRead: (doneBytes, totalBytes) =>
      context.onProgress({ phase: 'importing', doneBytes, ...(totalBytes !== undefined && { totalBytes }) }),
  })
}

function expectLayer(unpacker: Unpacker, { compression, digest, size }: StoredLayer, place: number): void {
  if (compression === 'xz') return
  unpacker.expect({ mediaType: layerTypeOf(compression), digest, size }, place)
}
