import { posix } from 'node:path'
import { pipeline } from 'node:stream'
import { type Extract, extract, type Header } from 'tar-stream'
import { ShimError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { archiveInvalid } from '../image/errors.ts'

/** One entry of a tar; a body that is not read is skipped. Names have neither `./` in front, nor `..`, nor `/` at either end. */
export type TarEntry =
  | { readonly kind: 'file'; readonly name: string; readonly size: number; readonly body: AsyncIterable<Buffer> }
  | { readonly kind: 'link'; readonly name: string; readonly target: string }

type Entry = Extract extends AsyncIterable<infer Item> ? Item : never

/** More than any image needs: 127 layers with four entries each are about 500. */
const MAX_ENTRIES = 10_000

/** Reads the files and links of an uncompressed tar. Throws ArchiveInvalid for entries that cannot be in an image archive. */
export async function* readTar(bytes: AsyncIterable<Buffer>): AsyncGenerator<TarEntry> {
  const entries = extract()
  const source = keepError(bytes)
  // tar-stream replaces errors of the source, so they are kept aside.
  const explain = (error: unknown) => source.error() ?? (error instanceof ShimError ? error : damaged(error))
  pipeline(source.bytes, entries, () => {})
  try {
    let count = 0
    for await (const entry of entries) {
      count += 1
      if (count > MAX_ENTRIES) throw archiveInvalid(`has more than ${MAX_ENTRIES} entries`)
      const read = toEntry(entry, bodyOf(entry, explain))
      if (read) yield read
      entry.resume()
    }
  } catch (error) {
    throw explain(error)
  }
}

function keepError(bytes: AsyncIterable<Buffer>) {
  let kept: unknown
  async function* watched(): AsyncGenerator<Buffer> {
    try {
      yield* bytes
    } catch (error) {
      kept = error
      throw error
    }
  }
  return { bytes: watched(), error: () => kept }
}

/** tar-stream's types do not say that chunks are buffers. */
async function* bodyOf(entry: Entry, explain: (error: unknown) => unknown): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of entry) if (Buffer.isBuffer(chunk)) yield chunk
  } catch (error) {
    throw explain(error)
  }
}

function toEntry({ header }: Entry, body: AsyncIterable<Buffer>): TarEntry | undefined {
  switch (header.type) {
    case 'file':
    case 'contiguous-file':
      return { kind: 'file', name: safeName(header.name), size: header.size, body }
    case 'symlink':
      return { kind: 'link', name: safeName(header.name), target: symlinkTarget(header) }
    case 'link':
      return { kind: 'link', name: safeName(header.name), target: safeName(header.linkname) }
    case 'directory':
      if (!isRoot(header.name)) safeName(header.name)
      return undefined
    default:
      throw archiveInvalid(`holds ${quote(header.name)}, which is neither file, folder nor link (${header.type})`)
  }
}

function isRoot(name: string): boolean {
  return name === '.' || name === './'
}

function safeName(name: string): string {
  const clean = withoutSlash(posix.normalize(name))
  if (name.startsWith('/')) throw archiveInvalid(`holds an absolute name: ${quote(name)}`)
  if (name.split('/').includes('..')) throw archiveInvalid(`holds a name with "..": ${quote(name)}`)
  if (name === '' || clean === '.' || name.includes('\0'))
    throw archiveInvalid(`holds an unusable name: ${quote(name)}`)
  return clean
}

function withoutSlash(name: string): string {
  return name.replace(/\/$/, '')
}

/** The target of a symlink, from the root of the archive. */
function symlinkTarget({ name, linkname: target }: Header): string {
  const resolved = posix.join(posix.dirname(name), target)
  if (target === '' || target.startsWith('/') || resolved === '..' || resolved.startsWith('../'))
    throw archiveInvalid(`holds a symlink out of the archive: ${quote(name)} -> ${quote(target)}`)
  return withoutSlash(resolved)
}

function damaged(cause: unknown): ShimError {
  const cutShort = cause instanceof Error && /unexpected end/i.test(cause.message)
  return archiveInvalid(cutShort ? 'is cut short' : 'is damaged: it cannot be read as tar', cause)
}
