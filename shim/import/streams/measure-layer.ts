import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { ENTRY_BYTES, type SizeLimit } from '../image/size-limit.ts'
import { type Compression, compressionOf, decompress, MAGIC_BYTES } from './compression.ts'
import { contentOf, type LayerContent } from './layer-content.ts'
import { passing } from './passing.ts'
import { peek } from './peek.ts'
import { createTarScan } from './tar-scan.ts'

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
