import { closeSync, fstatSync, readlinkSync } from 'node:fs'
import type { CountEntries } from '../../image/size-limit.ts'
import type { MergedLayer } from '../../image/store-image.ts'
import type { ByteString } from '../../store/byte-string.ts'
import { atPath, changed, openThere } from '../../store/store-tree.ts'
import { TarChunks } from '../../tar/chunks.ts'
import { BLOCK_BYTES } from '../../tar/header.ts'
import { type MergedEntry, mergedEntries } from './entries.ts'
import type { Regexes } from './regex.ts'
import { goHeader } from './tar-header.ts'

/**
 * The tar of the layer, byte for byte as nix2container makes it with Go's archive/tar. A chunk is valid until the next one is
 * asked for. Throws ArchiveInvalid, ImportInterrupted if a store path changes or disappears meanwhile, and as `count` does.
 */
export function* mergedLayerTar(layer: MergedLayer, regexes: Regexes, count?: CountEntries): Generator<Buffer> {
  const chunks = new TarChunks()
  let handedOn = 0
  let size = 2 * BLOCK_BYTES
  for (const entry of mergedEntries(layer, regexes, count)) {
    const writing = writeEntry(entry, layer.form.mtime, chunks)
    for (let step = writing.next(); ; step = writing.next()) {
      if (step.done) {
        size += step.value
        break
      }
      handedOn += step.value.length
      yield step.value
    }
  }
  yield* endWithoutPadding(chunks, size - handedOn)
}

/** Go does not pad the last record. `bytes`: how many have not been yielded. */
function* endWithoutPadding(chunks: TarChunks, bytes: number): Generator<Buffer> {
  let left = bytes
  for (const chunk of chunks.end()) {
    const { length } = chunk
    if (left > 0) yield left < length ? chunk.subarray(0, left) : chunk
    left -= length
  }
}

/** Returns the bytes that were written. */
function* writeEntry(entry: MergedEntry, mtime: number, chunks: TarChunks): Generator<Buffer, number> {
  const { type, source } = entry
  if (type === 'file' && source !== undefined) return yield* writeFile({ ...entry, source, mtime }, chunks)
  const isLink = type === 'symlink' && source !== undefined
  const linkName = isLink ? atPath(source, at => readlinkSync(at, 'buffer')).toString('latin1') : ''
  const header = goHeader({ ...entry, linkName, mtime })
  yield* chunks.write(header)
  return header.length
}

type FileEntry = MergedEntry & { readonly source: ByteString; readonly mtime: number }

function* writeFile(entry: FileEntry, chunks: TarChunks): Generator<Buffer, number> {
  const { source } = entry
  const file = openThere(source)
  try {
    if (!fstatSync(file).isFile()) throw changed(source)
    const header = goHeader({ ...entry, linkName: '' })
    yield* chunks.write(header)
    if (!(yield* chunks.read(file, entry.size))) throw changed(source)
    return header.length + Math.ceil(entry.size / BLOCK_BYTES) * BLOCK_BYTES
  } finally {
    closeSync(file)
  }
}
