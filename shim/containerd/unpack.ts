import { FinalError, RetryableError } from '../errors.ts'
import { chainOf } from './chain.ts'
import { blobInfo, labelBlob } from './content.ts'
import { applyLayer, type Descriptor } from './diff.ts'
import { GrpcError } from './grpc-error.ts'
import { hold, type Lease } from './leases.ts'
import { commitSnapshot, prepareSnapshot, removeSnapshot, type Snapshotter, snapshotExists } from './snapshots.ts'

/** Label of a layer's blob: digest of its uncompressed tar. */
const UNCOMPRESSED_LABEL = 'containerd.io/uncompressed'

export interface Layer extends Descriptor {
  /** Digest of the uncompressed tar, as the image's config promises it. */
  readonly diffId: string
}

/** Unpacks the layers of one image into snapshots, bottom first, while others are still on their way. */
export interface Unpacker {
  /**
   * A layer whose blob is there, and that is likely to have that place in the image, 0 for the bottom. Unpacked in the
   * background, once, however often it is expected there.
   */
  expect(layer: Descriptor, place: number): void
  /**
   * The image's real layers: unpacks what is not yet. Returns the chainID of the top layer, empty for no layers.
   * Throws ArchiveInvalid when a layer is not what the config promises.
   */
  complete(layers: readonly Layer[]): Promise<string>
}

export interface UnpackerOptions {
  readonly lease: Lease
  /** `overlayfs` */
  readonly snapshotter: string
  readonly onUnpacked: (done: number) => void
}

/** Everything is done in the name of the lease: what turns out to be of no use is collected with it. */
export function createUnpacker({ lease, snapshotter: name, onUnpacked }: UnpackerOptions): Unpacker {
  const snapshotter = { calls: lease.calls, name }
  const chain: Unpacked[] = []
  /** By place. */
  const expected: string[] = []
  let queue: Promise<void> = Promise.resolve()
  let expecting = true

  async function unpackNext(layer: Descriptor, diffId?: string): Promise<void> {
    const parent = chain.at(-1)?.chainId ?? ''
    chain.push(await unpackLayer({ lease, snapshotter, parent }, layer, diffId))
    onUnpacked(chain.length)
  }

  return {
    expect(layer, place) {
      if (expected[place] === layer.digest) return
      if (place !== expected.length) {
        // The image is in another order than what was expected before: what comes is unpacked when all of it is known.
        expecting = false
        return
      }
      expected.push(layer.digest)
      queue = queue.then(async () => {
        if (!expecting) return
        try {
          await unpackNext(layer)
        } catch {
          // A guess may be wrong; when it was not, the same comes up again where it counts.
          expecting = false
        }
      })
    },
    async complete(layers) {
      expecting = false
      await queue
      chain.length = agreeing(chain, layers)
      for (const layer of layers.slice(chain.length)) await unpackNext(layer, layer.diffId)
      for (const [index, layer] of layers.entries()) checkDiffId(layer, chain[index]?.diffId)
      return chain[layers.length - 1]?.chainId ?? ''
    },
  }
}

interface Unpacked {
  readonly digest: string
  readonly diffId: string
  readonly chainId: string
}

export interface Place {
  readonly lease: Lease
  readonly snapshotter: Snapshotter
  /** ChainID of the layers below, empty for none. */
  readonly parent: string
}

async function unpackLayer(place: Place, layer: Descriptor, promised?: string): Promise<Unpacked> {
  const { lease, snapshotter, parent } = place
  const { digest } = layer
  const known = digest === promised && !mayBeCompressed(layer) ? digest : await knownDiffId(lease, layer)
  if (known !== undefined) {
    const chainId = chainOf(parent, known)
    if (await isUnpacked(lease, snapshotter, chainId)) return { digest, diffId: known, chainId }
  }
  const diffId = await extractLayer(place, layer)
  return { digest, diffId, chainId: chainOf(parent, diffId) }
}

/** Whether the snapshot and with it all below are there; the lease keeps them then. */
export async function isUnpacked(lease: Lease, snapshotter: Snapshotter, chainId: string): Promise<boolean> {
  await hold(lease, { snapshot: chainId, snapshotter: snapshotter.name })
  return snapshotExists(snapshotter, chainId)
}

interface Filled {
  readonly lease: Lease
  readonly snapshotter: Snapshotter
  readonly key: string
}

/**
 * Gives a filled snapshot its name. When another import was faster, the lease holds that one's from now on; throws
 * ImportInterrupted when it has gone again already.
 */
export async function commitHeld({ lease, snapshotter, key }: Filled, name: string): Promise<void> {
  if (await commitSnapshot(snapshotter, key, name)) return
  if (await isUnpacked(lease, snapshotter, name)) return
  throw new RetryableError('ImportInterrupted', `the snapshot ${name}, which another import had made, is gone again`)
}

/**
 * The diffID of a blob as far as it is certain without unpacking it: containerd's word, or ours, of when it was unpacked. The
 * same bytes may be a tar and a compressed one: that they are their own diffID was said of the tar.
 */
export async function knownDiffId(lease: Lease, layer: Pick<Descriptor, 'digest' | 'mediaType'>) {
  const { digest } = layer
  if (!mayBeCompressed(layer)) return digest
  const known = (await blobInfo(lease.calls, digest))?.labels[UNCOMPRESSED_LABEL]
  return known === digest ? undefined : known
}

/** containerd takes bytes of all types for compressed that say so, or that are Docker's: it looks at how they begin. */
function mayBeCompressed({ mediaType }: Pick<Descriptor, 'mediaType'>): boolean {
  return /[+.](gzip|zstd)$|^application\/vnd\.docker\./.test(mediaType)
}

/** Unpacks a blob of the content store into a snapshot, named by the chainID that it turns out to have. Returns its diffID. */
export async function extractLayer({ lease, snapshotter, parent }: Place, layer: Descriptor): Promise<string> {
  const { key, mounts } = await prepareSnapshot(snapshotter, parent)
  try {
    const diffId = await applyLayer(lease.calls, layer, mounts)
    await commitHeld({ lease, snapshotter, key }, chainOf(parent, diffId))
    if (diffId !== layer.digest) await labelBlob(lease.calls, layer.digest, { [UNCOMPRESSED_LABEL]: diffId })
    return diffId
  } catch (error) {
    await removeSnapshot(snapshotter, key)
    throw isDamaged(error)
      ? new FinalError('ArchiveInvalid', `the layer ${layer.digest} is damaged`, { cause: error })
      : error
  }
}

/** What containerd, that is Go's libraries, says of a layer that is no tar, or not compressed as it should be. */
function isDamaged(error: unknown): boolean {
  if (!(error instanceof GrpcError)) return false
  if (/invalid tar header|unexpected EOF/i.test(error.details)) return true
  return (
    /gzip|flate|zstd|magic number/i.test(error.details) && /invalid|corrupt|mismatch|unexpected/i.test(error.details)
  )
}

/** How many of the layers, from the bottom up, were unpacked as they should be. */
function agreeing(chain: readonly Unpacked[], layers: readonly Layer[]): number {
  const wrong = chain.findIndex(({ digest }, index) => digest !== layers[index]?.digest)
  return wrong === -1 ? chain.length : wrong
}

function checkDiffId({ digest, diffId }: Layer, actual: string | undefined): void {
  if (actual === diffId) return
  throw new FinalError(
    'ArchiveInvalid',
    `the layer ${digest} unpacks to ${actual}, where the image's config has ${diffId}`,
  )
}
