import { closeSync, fstatSync, lstatSync, readlinkSync } from 'node:fs'
import type { CountEntries } from '../image/size-limit.ts'
import type { StorePathLayer } from '../image/store-image.ts'
import { type ByteString, bytesOf } from '../store/byte-string.ts'
import { atPath, changed, openThere, storeTree, type TreeEntry } from '../store/store-tree.ts'
import { TarChunks } from './chunks.ts'
import { type HeaderFields, SYMLINK_MODE, tarfileHeader } from './header.ts'

/**
 * The tar of the layer, byte for byte as nixpkgs' stream_layered_image.py makes it with Python's tarfile. Files are read as they
 * are needed. A chunk is valid until the next one is asked for. Throws ArchiveInvalid, ImportInterrupted if a store path changes
 * or disappears meanwhile, and as `count` does.
 */
export function* storePathTar(layer: StorePathLayer, count?: CountEntries): Generator<Buffer> {
  const chunks = new TarChunks()
  const owned = ownedBy(layer)
  for (const path of ['/nix', '/nix/store']) yield* chunks.write(directoryHeader(path, layer.rootMode, owned))
  count?.(2)
  for (const entry of storeTree(layer.paths)) {
    count?.(1)
    yield* writeEntry(entry, owned, chunks)
  }
  yield* chunks.end()
}

/** Common to all entries. */
type Owned = Pick<HeaderFields, 'uid' | 'gid' | 'uname' | 'gname' | 'mtime'>

function ownedBy({ owner, mtime }: StorePathLayer): Owned {
  return { ...owner, uname: bytesOf(owner.uname), gname: bytesOf(owner.gname), mtime }
}

function writeEntry({ type, path }: TreeEntry, owned: Owned, chunks: TarChunks): Generator<Buffer> {
  if (type === 'file') return writeFile(path, owned, chunks)
  return chunks.write(type === 'symlink' ? symlinkHeader(path, owned) : directoryHeader(path, modeOf(path), owned))
}

function* writeFile(path: ByteString, owned: Owned, chunks: TarChunks): Generator<Buffer> {
  const file = openThere(path)
  try {
    const stats = fstatSync(file)
    if (!stats.isFile()) throw changed(path)
    const { size, mode } = stats
    yield* chunks.write(
      tarfileHeader({ ...owned, type: 'file', name: path, mode: permissions(mode), size, linkName: '' }),
    )
    if (!(yield* chunks.read(file, size))) throw changed(path)
  } finally {
    closeSync(file)
  }
}

function symlinkHeader(path: ByteString, owned: Owned): Buffer {
  const target = atPath(path, at => readlinkSync(at, 'buffer')).toString('latin1')
  return tarfileHeader({ ...owned, type: 'symlink', name: path, mode: SYMLINK_MODE, size: 0, linkName: target })
}

function modeOf(directory: ByteString): number {
  const stats = atPath(directory, at => lstatSync(at))
  if (!stats.isDirectory()) throw changed(directory)
  return permissions(stats.mode)
}

function directoryHeader(path: ByteString, mode: number, owned: Owned): Buffer {
  return tarfileHeader({ ...owned, type: 'directory', name: `${path}/`, mode, size: 0, linkName: '' })
}

function permissions(mode: number): number {
  return mode & 0o7777
}
