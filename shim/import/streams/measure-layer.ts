import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { archiveInvalid } from '../image/errors.ts'
import { LAYER_TYPE } from '../image/parsed-image.ts'
import { ENTRY_BYTES, type SizeLimit } from '../image/size-limit.ts'
import { type Compression, compressionOf, decompress, MAGIC_BYTES } from './compression.ts'
import { passing, peek } from './streams.ts'
import { createTarScan, type TarFile } from './tar-scan.ts'

/** OCI's types of layers that are not compressed. */
const PLAIN = /^application\/vnd\.oci\.image\.layer\.(nondistributable\.)?v1\.tar$/

/** What of a layer's files tells whether it has any content. */
export interface LayerContent {
  /** Whether a file of it is not empty. */
  readonly hasContent: boolean
  /** Whether a store path is in it. */
  readonly hasStorePath: boolean
}

const STORE_PATH = /^(?:\.?\/)*nix\/store\/[0-9a-df-np-sv-z]{32}-[^/]+\/?$/

/** A layer on its way to containerd. */
export interface MeasuredLayer {
  readonly compression: Compression
  /** The same bytes. They end with ImageTooLarge as soon as they are too many, decompressed, and with ArchiveInvalid. */
  readonly bytes: AsyncIterable<Buffer>
  /** Bytes, decompressed, and what its entries cost, once all have been read. */
  readonly unpackedSize: () => number
  /** What is in it, once all has been read. */
  readonly content: () => LayerContent
}

/** containerd unpacks whatever it is given: how much that is has to be known before. */
export async function measureLayer(source: AsyncIterable<Buffer>, limit: SizeLimit): Promise<MeasuredLayer> {
  const { head, all } = await peek(source, MAGIC_BYTES)
  const compression = compressionOf(head)
  let size = 0
  const count = (bytes: number) => {
    size += bytes
    limit.add(bytes)
  }
  let content: LayerContent = { hasContent: false, hasStorePath: false }
  const scan = createTarScan(file => {
    count(ENTRY_BYTES)
    content = contentOf(file, content)
  })
  const measure = (bytes: Buffer) => {
    count(bytes.length)
    scan.push(bytes)
  }
  const measured = compression === 'none' ? passing(all, measure) : decompressing(all, measure)
  return { compression, bytes: measured, unpackedSize: () => size, content: () => content }
}

/** Each chunk is decompressed while it is on its way. */
async function* decompressing(source: AsyncIterable<Buffer>, count: (bytes: Buffer) => void): AsyncGenerator<Buffer> {
  const copy = new PassThrough()
  const counting = (async () => {
    for await (const bytes of decompress(copy)) count(bytes)
  })()
  counting.catch(error => copy.on('error', () => {}).destroy(error))
  try {
    for await (const bytes of source) {
      await write(copy, bytes)
      yield bytes
    }
    copy.end()
    await counting
  } catch (error) {
    // Whoever stops to read the copy has a reason, of which the copy itself does not know.
    if (copy.destroyed) await counting
    throw error
  } finally {
    copy.destroy()
  }
}

/** Rejects when the bytes are read no more, with the reason. */
async function write(copy: PassThrough, bytes: Buffer): Promise<void> {
  if (copy.errored) throw copy.errored
  if (!copy.write(bytes)) await once(copy, 'drain')
}

export function contentOf({ name, size }: TarFile, before: LayerContent): LayerContent {
  return {
    hasContent: before.hasContent || size > 0,
    hasStorePath: before.hasStorePath || STORE_PATH.test(name),
  }
}

/** The type of a layer with such bytes. Throws ArchiveInvalid for a compression that containerd does not know. */
export function layerTypeOf(compression: Compression): string {
  refuseXz(compression)
  return compression === 'none' ? LAYER_TYPE : `${LAYER_TYPE}+${compression}`
}

/**
 * containerd unpacks bytes of these types as they are, and finds out by their beginning how those of all others are compressed.
 * A tar may begin as compressed bytes do, so that it has one content here and another there. Throws ArchiveInvalid.
 */
export function checkLayerType(mediaType: string, compression: Compression): void {
  refuseXz(compression)
  if (compression !== 'none' && PLAIN.test(mediaType))
    throw archiveInvalid(
      `has a layer that is compressed with ${compression}, which its type does not say: ${mediaType}`,
    )
}

function refuseXz(compression: Compression): void {
  if (compression === 'xz')
    throw archiveInvalid('has a layer that is compressed with xz; gzip and zstd can be unpacked')
}
