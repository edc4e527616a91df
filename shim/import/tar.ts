import { posix } from 'node:path'
import { pipeline } from 'node:stream'
import { type Extract, extract, type Header } from 'tar-stream'
import { ShimError } from '../errors.ts'
import { archiveInvalid } from './invalid.ts'

/** One entry of a tar; a body that is not read is skipped. Names have no `./` in front, no `..` and no `/` at either end. */
export type TarEntry =
  | { readonly kind: 'file'; readonly name: string; readonly size: number; readonly body: AsyncIterable<Buffer> }
  | { readonly kind: 'link'; readonly name: string; readonly target: string }

type Entry = Extract extends AsyncIterable<infer Item> ? Item : never

/** More than any image needs: 127 layers with four entries each are about 500. */
const MAX_ENTRIES = 10_000

/** The files and links of an uncompressed tar, folders left out. Throws ArchiveInvalid for what no image archive has. */
export async function* readTar(bytes: AsyncIterable<Buffer>): AsyncGenerator<TarEntry> {
  const entries = extract()
  let sourceError: unknown
  const watched = rethrow(bytes, error => {
    sourceError = error
  })
  pipeline(watched, entries, () => {})
  try {
    let count = 0
    for await (const entry of entries) {
      count += 1
      if (count > MAX_ENTRIES) throw archiveInvalid(`has more than ${MAX_ENTRIES} entries`)
      const read = toEntry(entry)
      if (read) yield read
      entry.resume()
    }
  } catch (error) {
    throw sourceError ?? (error instanceof ShimError ? error : damaged(error))
  }
}

/** tar-stream passes an error on in its own way, so the real one is kept aside. */
async function* rethrow(bytes: AsyncIterable<Buffer>, onError: (error: unknown) => void): AsyncGenerator<Buffer> {
  try {
    yield* bytes
  } catch (error) {
    onError(error)
    throw error
  }
}

function toEntry(entry: Entry): TarEntry | undefined {
  const { header } = entry
  switch (header.type) {
    case 'file':
    case 'contiguous-file':
      return { kind: 'file', name: safeName(header.name), size: header.size, body: buffersOf(entry) }
    case 'symlink':
      return { kind: 'link', name: safeName(header.name), target: symlinkTarget(header) }
    case 'link':
      return { kind: 'link', name: safeName(header.name), target: safeName(header.linkname) }
    case 'directory':
      if (!isRoot(header.name)) safeName(header.name)
      return undefined
    default:
      throw archiveInvalid(`holds ${quoteName(header.name)}, which is neither file, folder nor link (${header.type})`)
  }
}

/** The bodies of tar-stream are buffers, which its types do not say. */
async function* buffersOf(entry: Entry): AsyncGenerator<Buffer> {
  for await (const chunk of entry) if (Buffer.isBuffer(chunk)) yield chunk
}

function isRoot(name: string): boolean {
  return name === '.' || name === './'
}

function safeName(name: string): string {
  const clean = posix.normalize(name).replace(/\/$/, '')
  if (name.startsWith('/')) throw archiveInvalid(`holds an absolute name: ${quoteName(name)}`)
  if (name.split('/').includes('..')) throw archiveInvalid(`holds a name with "..": ${quoteName(name)}`)
  if (name === '' || clean === '.' || name.includes('\0'))
    throw archiveInvalid(`holds an unusable name: ${quoteName(name)}`)
  return clean
}

/** What a symlink names, from the root of the archive. */
function symlinkTarget({ name, linkname: target }: Header): string {
  const resolved = posix.join(posix.dirname(name), target)
  if (target === '' || target.startsWith('/') || resolved === '..' || resolved.startsWith('../'))
    throw archiveInvalid(`holds a symlink out of the archive: ${quoteName(name)} -> ${quoteName(target)}`)
  return posix.normalize(resolved)
}

const MAX_QUOTED = 100

function quoteName(name: string): string {
  return JSON.stringify(name.length > MAX_QUOTED ? `${name.slice(0, MAX_QUOTED)}…` : name)
}

function damaged(cause: unknown): ShimError {
  const cutShort = cause instanceof Error && /unexpected end/i.test(cause.message)
  return archiveInvalid(cutShort ? 'is cut short' : 'is damaged: it cannot be read as tar', cause)
}
