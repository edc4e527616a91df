import type { FileHandle } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { isFilledBySnapshotter } from '../formats/nix-snapshotter/image.ts'
import { hostPlatform } from '../image/config.ts'
import { archiveInvalid } from '../image/errors.ts'
import { MAX_DOCUMENT_BYTES, MAX_JSON_BYTES } from '../image/json.ts'
import type { ParsedImage } from '../image/parsed-image.ts'
import type { Closure } from '../store/closure.ts'
import { bytesOf, withFileBytes } from '../store/store-file.ts'
import { decompress } from '../streams/decompress.ts'
import { passing } from '../streams/streams.ts'
import { DOCKER_MANIFEST, layerNamesIn, parseDockerArchive } from './docker-archive.ts'
import {
  type ArchiveImage,
  type LayerTarget,
  type LayoutFiles,
  type OnLayer,
  type StoredLayer,
  storeLayer,
  type WantedImage,
} from './layout.ts'
import { blobName, OCI_INDEX, OCI_LAYOUT } from './oci-index.ts'
import { parseOciLayout } from './oci-layout.ts'
import { openArchive } from './open-archive.ts'

/** A build result that holds all of an image. */
export type ArchiveOutput =
  /** A folder with an OCI layout. */
  | { readonly kind: 'folder'; readonly path: string }
  /** A tar, compressed or not; `size` in bytes. */
  | { readonly kind: 'archive'; readonly path: string; readonly size: number }

export interface ReadImage extends LayerTarget {
  /** Normalized reference of the wanted image; missing for a base image. */
  readonly image: string | undefined
  readonly closure: Closure
  readonly signal: AbortSignal
  /** Called while an archive is read, with the place of a layer in the archive, and finally with its place in the image. */
  readonly onLayer: OnLayer
  /** Bytes read so far, and in total (missing for a folder). */
  readonly onRead: (doneBytes: number, totalBytes?: number) => void
}

/** Reads an archive or a layout once, and brings its layers into the store. Throws the import codes of the catalog. */
export async function readImage(output: ArchiveOutput, read: ReadImage): Promise<ArchiveImage> {
  const files = countDocuments(await openLayout(output, read))
  const layers: StoredLayer[] = []
  const onLayer: OnLayer = (layer, place) => {
    layers.push(layer)
    read.onLayer(layer, place)
  }
  const image = await parseLayout(files, { host: hostPlatform(), wanted: read.image, onLayer })
  refuseMountPoints(image, layers)
  return image
}

function openLayout(
  output: ArchiveOutput,
  { closure, store, limit, signal, onLayer, onRead }: ReadImage,
): Promise<LayoutFiles> | LayoutFiles {
  const target = { store, limit }
  let done = 0
  const onBytes = (count: number) => {
    signal.throwIfAborted()
    done += count
    onRead(done, output.kind === 'archive' ? output.size : undefined)
  }
  if (output.kind === 'folder') return openFolder(output.path, { closure, ...target, onBytes })
  return withFileBytes(output.path, closure, bytes =>
    openArchive(decompress(passing(bytes, chunk => onBytes(chunk.length))), target, onLayer),
  )
}

/** Each document is read into memory, and an image may name one any number of times. */
function countDocuments(files: LayoutFiles): LayoutFiles {
  let left = MAX_DOCUMENT_BYTES
  return {
    ...files,
    async readDocument(name) {
      const bytes = await files.readDocument(name)
      left -= bytes?.length ?? 0
      if (left < 0) throw archiveInvalid(`names documents of more than ${MAX_DOCUMENT_BYTES} bytes`)
      return bytes
    },
  }
}

/** Archives of newer versions of docker save are both; the OCI part has the digests that the image had at its origin. */
async function parseLayout(files: LayoutFiles, wanted: WantedImage): Promise<ArchiveImage> {
  const [layout, index, manifest] = await Promise.all(
    [OCI_LAYOUT, OCI_INDEX, DOCKER_MANIFEST].map(name => files.readDocument(name)),
  )
  if (layout && index) {
    const image = await parseOciLayout(files, index, wanted)
    return manifest ? { ...image, layerNames: layerNamesIn(manifest, blobName(image.config.digest)) } : image
  }
  if (manifest) return parseDockerArchive(files, manifest, wanted)
  throw archiveInvalid(`has no image: neither ${DOCKER_MANIFEST} nor ${OCI_LAYOUT} with ${OCI_INDEX} is in it`)
}

/**
 * An image of nix-snapshotter without its annotations, as docker save writes it, has empty folders in place of store paths, and no
 * container of it could start. An image with any non-empty file, such as a base image's, cannot be recognized this way.
 */
function refuseMountPoints(image: ParsedImage, layers: readonly StoredLayer[]): void {
  if (layers.some(({ hasContent }) => hasContent) || !layers.some(({ hasStorePath }) => hasStorePath)) return
  if (isFilledBySnapshotter(image)) return
  throw archiveInvalid(
    'has no file with content, but empty folders in place of store paths: it is an image of nix-snapshotter whose annotations were lost. ' +
      'Use the package that nix-snapshotter makes, as it is',
  )
}

/** The files of an OCI layout folder. Throws ArchiveInvalid for links that lead out of the folder. */
function openFolder(
  path: string,
  { closure, store, limit, onBytes }: LayerTarget & { closure: Closure; onBytes: (bytes: number) => void },
): LayoutFiles {
  const withFile = <T>(name: string, read: (file: OpenFile) => Promise<T>) =>
    withFileInside({ path, closure }, name, read)
  const target = { store, limit: limit.part() }
  return {
    async readDocument(name) {
      return withFile(name, async ({ handle, size }) => {
        if (size > MAX_JSON_BYTES) throw archiveInvalid(`has a ${name} longer than ${MAX_JSON_BYTES}`)
        return handle.readFile()
      })
    },
    async storeLayer(name) {
      return withFile(name, ({ handle, size }) =>
        storeLayer(target, { name, size, bytes: passing(bytesOf(handle), chunk => onBytes(chunk.length)) }),
      )
    },
  }
}

interface OpenFile {
  readonly handle: FileHandle
  readonly size: number
}

/** Undefined if there is no such file. */
async function withFileInside<T>(
  { path, closure }: { readonly path: string; readonly closure: Closure },
  name: string,
  read: (file: OpenFile) => Promise<T>,
): Promise<T | undefined> {
  await using found = await closure.find(join(path, name))
  if (found === undefined) return undefined
  if (!found.path.startsWith(path + sep)) throw archiveInvalid(`holds a link out of its folder: ${name}`)
  if (!found.stats.isFile()) throw archiveInvalid(`holds ${name}, which is not a file`)
  await using handle = await found.openToRead()
  return await read({ handle, size: found.stats.size })
}
