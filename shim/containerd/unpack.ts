import { FinalError } from '../../lib/errors.ts'
import type { Calls } from '../../lib/grpc/client.ts'
import { GrpcError } from '../../lib/grpc/grpc-error.ts'
import { loadService, requireField } from '../../lib/grpc/service.ts'
import type { DiffDefinition } from '../../protos/generated/containerd/services/diff/v1/Diff.ts'
import { blobInfo, labelBlob } from './services/content.ts'
import type { Descriptor, Layer } from './services/descriptor.ts'
import type { Lease } from './services/leases.ts'
import { discardSnapshot, type Mount, prepareSnapshot } from './services/snapshots.ts'
import { chainOf, chainsOf, type SnapshotStore } from './snapshot-store.ts'

const DIFF = loadService<DiffDefinition>('diff.proto', 'containerd.services.diff.v1.Diff')

/** Label of a layer's blob: digest of its uncompressed tar. */
const UNCOMPRESSED_LABEL = 'containerd.io/uncompressed'

/** Unpacks the layers of one image into snapshots, bottom first, while further layers still arrive. */
export interface Unpacker {
  /**
   * Announces a layer whose blob is in containerd, with its probable place in the image (0 is the bottom). It is unpacked once in
   * the background, however often it is announced.
   */
  expect(layer: Descriptor, place: number): void
  /**
   * Unpacks the rest of the image's real layers. Returns the chainID of the top layer, empty for no layers.
   * Throws ArchiveInvalid if a layer differs from what the config promises.
   */
  complete(layers: readonly Layer[]): Promise<string>
}

export interface UnpackerOptions {
  readonly snapshots: SnapshotStore
  readonly onUnpacked: (done: number) => void
}

/** Snapshots that turn out to be useless are collected with the lease. */
export function createUnpacker({ snapshots, onUnpacked }: UnpackerOptions): Unpacker {
  const chain: Unpacked[] = []
  /** Digests of the announced layers, by place. */
  const expected: string[] = []
  let queue: Promise<void> = Promise.resolve()
  let expecting = true

  async function unpack(place: number, layer: Descriptor, diffId?: string): Promise<void> {
    const parent = chain[place - 1]?.chainId ?? ''
    chain[place] = await unpackLayer({ snapshots, parent }, layer, diffId)
    onUnpacked(place + 1)
  }

  return {
    expect(layer, place) {
      if (expected[place] === layer.digest) return
      if (place !== expected.length) {
        // The layers come in another order than announced before: `complete` unpacks them once the order is known.
        expecting = false
        return
      }
      expected.push(layer.digest)
      queue = queue.then(async () => {
        if (!expecting) return
        try {
          await unpack(chain.length, layer)
        } catch {
          // The guess may have been wrong. If it was right, `complete` fails in the same way.
          expecting = false
        }
      })
    },
    async complete(layers) {
      expecting = false
      await queue
      const chainIds = chainsOf(layers.map(({ diffId }) => diffId))
      await snapshots.inspect(chainIds)
      chain.length = agreeing(chain, layers)
      for (const [place, layer] of layers.entries())
        if (place >= chain.length || snapshots.isLost(chainIds[place] ?? '')) await unpack(place, layer, layer.diffId)
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
  readonly snapshots: SnapshotStore
  /** ChainID of the layers below, empty for none. */
  readonly parent: string
}

async function unpackLayer(place: Place, layer: Descriptor, promised?: string): Promise<Unpacked> {
  const { snapshots, parent } = place
  const { digest } = layer
  const known = digest === promised && !mayBeCompressed(layer) ? digest : await knownDiffId(snapshots.lease, layer)
  if (known !== undefined) {
    const chainId = chainOf(parent, known)
    if (!snapshots.isLost(chainId) && (await snapshots.has(chainId))) return { digest, diffId: known, chainId }
  }
  const diffId = await extractLayer(place, layer)
  return { digest, diffId, chainId: chainOf(parent, diffId) }
}

/**
 * The diffID of a blob, if it is known without unpacking: the blob's label has it, set when the blob was unpacked. A label that
 * equals the digest is about a plain tar of the same bytes, and does not hold for a layer that may be compressed.
 */
export async function knownDiffId(lease: Lease, layer: Pick<Descriptor, 'digest' | 'mediaType'>) {
  const { digest } = layer
  if (!mayBeCompressed(layer)) return digest
  const known = (await blobInfo(lease.calls, digest))?.labels[UNCOMPRESSED_LABEL]
  return known === digest ? undefined : known
}

/** containerd looks for compression in layers whose type says so, and in all of Docker's types. */
function mayBeCompressed({ mediaType }: Pick<Descriptor, 'mediaType'>): boolean {
  return /[+.](gzip|zstd)$|^application\/vnd\.docker\./.test(mediaType)
}

/** Unpacks a blob of the content store into a snapshot that is named by its computed chainID. Returns the diffID. */
export async function extractLayer({ snapshots, parent }: Place, layer: Descriptor): Promise<string> {
  const { lease, snapshotter } = snapshots
  const filled = await prepareSnapshot(snapshotter, parent)
  try {
    const diffId = await applyLayer(lease.calls, layer, filled.mounts)
    await snapshots.commit(filled, chainOf(parent, diffId))
    if (diffId !== layer.digest) await labelBlob(lease.calls, layer.digest, { [UNCOMPRESSED_LABEL]: diffId })
    return diffId
  } catch (error) {
    await discardSnapshot(snapshotter, filled.key)
    throw isDamaged(error)
      ? new FinalError('ArchiveInvalid', `the layer ${layer.digest} is damaged`, { cause: error })
      : error
  }
}

/** Long enough for a large layer on a slow disk. */
const APPLY_TIMEOUT_MS = 30 * 60_000

/** Unpacks a layer of the content store into the mounts; returns the digest of its uncompressed tar, the diffID. */
async function applyLayer(calls: Calls, diff: Descriptor, mounts: readonly Mount[]): Promise<string> {
  const answer = await calls.unary(DIFF.Apply, { diff, mounts: [...mounts] }, { timeoutMs: APPLY_TIMEOUT_MS })
  return requireField(DIFF.Apply, answer, 'applied').digest
}

/** Recognizes the words of Go's libraries in containerd for a layer that is not a tar, or whose compression is broken. */
function isDamaged(error: unknown): boolean {
  if (!(error instanceof GrpcError)) return false
  if (/invalid tar header|unexpected EOF/i.test(error.details)) return true
  return (
    /gzip|flate|zstd|magic number/i.test(error.details) && /invalid|corrupt|mismatch|unexpected/i.test(error.details)
  )
}

/** Number of layers, from the bottom up, that were unpacked in the right order. */
function agreeing(chain: readonly Unpacked[], layers: readonly Layer[]): number {
  const wrong = chain.findIndex(({ digest }, index) => digest !== layers[index]?.digest)
  return wrong === -1 ? chain.length : wrong
}

function checkDiffId({ digest, diffId }: Layer, actual: string | undefined): void {
  if (actual === diffId) return
  throw new FinalError(
    'ArchiveInvalid',
    `the layer ${digest} unpacks to ${actual}, but the image's config has ${diffId}`,
  )
}
