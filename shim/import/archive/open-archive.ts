import { archiveInvalid } from '../image/errors.ts'
import { digestOf, MAX_DOCUMENT_BYTES, MAX_JSON_BYTES } from '../image/json.ts'
import { compressionOf } from '../streams/decompress.ts'
import { readTar, type TarEntry } from '../streams/read-tar.ts'
import { oneChunk, passing, peek } from '../streams/streams.ts'
import { type LayerTarget, type LayoutFiles, type OnLayer, type StoredLayer, storeLayer } from './layout.ts'

type FileEntry = Extract<TarEntry, { kind: 'file' }>
type ArchiveFile =
  | { readonly kind: 'kept'; readonly bytes: Buffer }
  | { readonly kind: 'stored'; readonly layer: StoredLayer }
  | { readonly kind: 'link'; readonly target: string }

/** Files that look neither like documents nor like layers are kept up to this size; they are rarely needed. */
const MAX_OTHER_KEPT_BYTES = 64 * 1024
/** A tar begins with a header of this length. */
const HEAD_BYTES = 512

/**
 * Reads an uncompressed archive once, front to back: documents are kept, layers go to the store as they come.
 * Calls `onLayer` only while their order is probably the image's. Throws ArchiveInvalid.
 */
export async function openArchive(
  bytes: AsyncIterable<Buffer>,
  { store, limit }: LayerTarget,
  onLayer: OnLayer,
): Promise<LayoutFiles> {
  const target = { store, limit: limit.part() }
  const files = new Map<string, ArchiveFile>()
  let keptBytes = 0
  let inOrder = true
  let layers = 0
  // An archive that is compressed as a whole may hold any number of bytes that belong to no layer.
  const whole = limit.part()
  for await (const entry of readTar(passing(bytes, chunk => whole.add(chunk.length)))) {
    inOrder &&= !hasOtherOrder(entry.name)
    const file = entry.kind === 'link' ? entry : await take(entry, target)
    if (file.kind === 'kept') keptBytes += file.bytes.length
    if (keptBytes > MAX_DOCUMENT_BYTES) throw archiveInvalid(`holds documents of more than ${MAX_DOCUMENT_BYTES} bytes`)
    if (!isRepetition(files.get(entry.name), file, entry.name)) files.set(entry.name, file)
    if (file.kind === 'stored' && inOrder) onLayer(file.layer, layers++)
  }
  return layoutFiles(files, target)
}

/** `docker save` before version 25 orders layers by random ids and writes VERSION files; OCI layouts order by digest. */
function hasOtherOrder(name: string): boolean {
  return name.endsWith('/VERSION') || name.startsWith('blobs/')
}

async function take({ name, size, body }: FileEntry, target: LayerTarget): Promise<ArchiveFile> {
  const { head, all } = await peek(body, HEAD_BYTES)
  if (mayBeKept(head, size)) return { kind: 'kept', bytes: await gather(all) }
  return { kind: 'stored', layer: await storeLayer(target, { name, size, bytes: all }) }
}

function mayBeKept(head: Buffer, size: number): boolean {
  if (looksLikeLayer(head)) return false
  return size <= (looksLikeJson(head) ? MAX_JSON_BYTES : MAX_OTHER_KEPT_BYTES)
}

const TAR_MAGIC = { offset: 257, bytes: Buffer.from('ustar') }

function looksLikeLayer(head: Buffer): boolean {
  const magic = head.subarray(TAR_MAGIC.offset, TAR_MAGIC.offset + TAR_MAGIC.bytes.length)
  const empty = head.length >= HEAD_BYTES && head.subarray(0, HEAD_BYTES).every(byte => byte === 0)
  return magic.equals(TAR_MAGIC.bytes) || empty || compressionOf(head) !== 'none'
}

function looksLikeJson(head: Buffer): boolean {
  return /^\s*[{[]/.test(head.toString('latin1'))
}

async function gather(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** nixpkgs writes a layer twice if a base image has it twice. Throws if the two differ. */
function isRepetition(before: ArchiveFile | undefined, now: ArchiveFile, name: string): boolean {
  if (!before) return false
  if (identity(before) !== identity(now)) throw archiveInvalid(`holds two different files named ${name}`)
  return true
}

function identity(file: ArchiveFile): string {
  if (file.kind === 'link') return `link to ${file.target}`
  return file.kind === 'kept' ? digestOf(file.bytes) : file.layer.digest
}

function layoutFiles(files: ReadonlyMap<string, ArchiveFile>, target: LayerTarget): LayoutFiles {
  return {
    async readDocument(name) {
      const file = follow(files, name)
      if (file?.kind === 'stored')
        throw archiveInvalid(`has a ${name} that is not JSON, or longer than ${MAX_JSON_BYTES}`)
      return file?.bytes
    },
    async storeLayer(name) {
      const file = follow(files, name)
      if (file?.kind !== 'kept') return file?.layer
      return storeLayer(target, { name, size: file.bytes.length, bytes: oneChunk(file.bytes) })
    },
  }
}

/** A longer chain of links counts as a circle. */
const MAX_LINKS = 16

function follow(
  files: ReadonlyMap<string, ArchiveFile>,
  name: string,
): Exclude<ArchiveFile, { kind: 'link' }> | undefined {
  let file = files.get(name)
  for (let links = 0; file?.kind === 'link'; links += 1) {
    if (links > MAX_LINKS) throw archiveInvalid(`holds links in a circle at ${name}`)
    file = files.get(file.target)
  }
  return file
}
