import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { archiveInvalid } from '../image/errors.ts'
import { LAYER_TYPE } from '../image/parsed-image.ts'
import { ENTRY_BYTES, type SizeLimit } from '../image/size-limit.ts'
import { type Compression, compressionOf, decompress, MAGIC_BYTES } from './decompress.ts'
import { passing, peek } from './streams.ts'
import { createTarScan, type TarFile } from './tar-scan.ts'

/** A layer on its way to containerd. */
export interface MeasuredLayer {
  readonly compression: Compression
  /** The same bytes. Reading them throws ImageTooLarge if the decompressed layer exceeds the limit, and ArchiveInvalid. */
  readonly bytes: AsyncIterable<Buffer>
  /** Bytes of the decompressed layer, with ENTRY_BYTES for each entry. Known once all bytes have been read. */
  readonly unpackedSize: () => number
  /** Known once all bytes have been read. */
  readonly content: () => LayerContent
}

/** Facts that reveal a layer which has only mount points. */
export interface LayerContent {
  /** Whether it has a file that is not empty. */
  readonly hasContent: boolean
  /** Whether it has a store path. */
  readonly hasStorePath: boolean
}

/** Measures a layer while it is read: containerd itself would unpack a layer of any size. */
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

const STORE_PATH = /^(?:\.?\/)*nix\/store\/[0-9a-df-np-sv-z]{32}-[^/]+\/?$/

function contentOf({ name, size }: TarFile, before: LayerContent): LayerContent {
  return {
    hasContent: before.hasContent || size > 0,
    hasStorePath: before.hasStorePath || STORE_PATH.test(name),
  }
}

/** Decompresses a copy of each chunk that passes. */
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
    // If the reader of the copy has stopped, its own error is the reason.
    if (copy.destroyed) await counting
    throw error
  } finally {
    copy.destroy()
  }
}

/** Throws the reader's error once it has stopped reading. */
async function write(copy: PassThrough, bytes: Buffer): Promise<void> {
  if (copy.errored) throw copy.errored
  if (!copy.write(bytes)) await once(copy, 'drain')
}

/** The media type of a layer. Throws ArchiveInvalid for a compression that containerd does not know. */
export function layerTypeOf(compression: Compression): string {
  refuseXz(compression)
  return compression === 'none' ? LAYER_TYPE : `${LAYER_TYPE}+${compression}`
}

/** OCI's types of uncompressed layers. */
const PLAIN = /^application\/vnd\.oci\.image\.layer\.(nondistributable\.)?v1\.tar$/

/**
 * containerd unpacks bytes of the plain types as they are, and detects the compression of all others. A tar may begin like
 * compressed bytes, and would have one content here and another in containerd. Throws ArchiveInvalid.
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
