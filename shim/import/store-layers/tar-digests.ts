import pMap from 'p-map'
import type { LayerMode } from '../../containerd/services/constants.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { StoredBlob } from '../image/parsed-image.ts'
import { ENTRY_BYTES, type EntryRoom, takenOf } from '../image/size-limit.ts'
import { type FilesLayer, inAllForms, isMerged, type StoreFilesLayer, storePathsOf } from '../image/store-image.ts'
import { requireInfos } from '../store/closure.ts'
import type { StoreLayersContext } from './context.ts'
import { entriesKey, tarKey } from './layer-keys.ts'
import { TAR_THREADS } from './tar-threads.ts'

export interface FilesDigest extends StoredBlob {
  /** In the form that the digest is of. */
  readonly source: StoreFilesLayer
  /** `tar`: the digest of the layer's tar. `linked`: a digest that stands in for it (see linkedDigest). */
  readonly digestKind: LayerMode
}

export type FilesDigests = ReadonlyMap<StoreFilesLayer, FilesDigest>

interface TarBlob extends StoredBlob {
  readonly entries: number
}

/**
 * Finds layers whose tars were made on this node before, of exactly the same content, and are what the image promises. Counts their
 * entries, since containerd may have to unpack them again. Throws ImageTooLarge.
 */
export async function recallTars(
  layers: readonly StoreFilesLayer[],
  context: StoreLayersContext,
): Promise<FilesDigests> {
  const found = await Promise.all(layers.map(layer => findForm(layer, form => recallTar(form, context), context)))
  return new Map(layers.flatMap((layer, index) => (found[index] ? [[layer, found[index]]] : [])))
}

/** Makes tars in the content store. Throws ArchiveInvalid if one is not what the image promises; ImageTooLarge. */
export function storeTars(layers: readonly StoreFilesLayer[], context: StoreLayersContext): Promise<FilesDigests> {
  return digestAll(layers, async form => (await recallTar(form, context)) ?? storeTar(form, context), context)
}

/** Hashes what the tars would be, without storing them. Throws as storeTars. */
export function hashTars(layers: readonly StoreFilesLayer[], context: StoreLayersContext): Promise<FilesDigests> {
  const hashTar = (form: FilesLayer) => measureTar(form, entryRoom => context.tars.digest(form, entryRoom), context)
  return digestAll(layers, async form => (await recallTar(form, context)) ?? hashTar(form), context)
}

/** Makes the tar of a layer in the content store, and remembers its digest. */
export async function storeTar(layer: FilesLayer, context: StoreLayersContext): Promise<TarBlob> {
  return measureTar(layer, entryRoom => context.writer.write(context.tars.tar(layer, entryRoom)), context)
}

async function recallTar(layer: FilesLayer, { digests, closure }: StoreLayersContext): Promise<TarBlob | undefined> {
  const infos = requireInfos(closure, storePathsOf(layer))
  const blob = await digests.recall(tarKey(layer, infos))
  if (!blob) return undefined
  const entries = await digests.recallNumber(entriesKey(layer, infos))
  return entries === undefined ? undefined : { ...blob, entries }
}

/** One tar may have as many entries as the whole image; the caller counts them. */
async function measureTar(
  layer: FilesLayer,
  read: (entryRoom: EntryRoom) => Promise<StoredBlob>,
  { digests, limit, closure }: StoreLayersContext,
): Promise<TarBlob> {
  const infos = requireInfos(closure, storePathsOf(layer))
  const entryRoom = limit.entryRoom()
  const { digest, size } = await read(entryRoom)
  const entries = takenOf(entryRoom)
  const blob = { digest, size }
  await digests.rememberNumber(entriesKey(layer, infos), entries, blob)
  await digests.remember(tarKey(layer, infos), blob)
  return { ...blob, entries }
}

async function digestAll(
  layers: readonly StoreFilesLayer[],
  digestOf: (form: FilesLayer) => Promise<TarBlob>,
  context: StoreLayersContext,
): Promise<FilesDigests> {
  const digest = async (source: StoreFilesLayer) => (await findForm(source, digestOf, context)) ?? refuse(source)
  const digested = await pMap(layers, digest, { concurrency: TAR_THREADS })
  return new Map(layers.flatMap((layer, index) => (digested[index] ? [[layer, digested[index]]] : [])))
}

/** Finds the form whose tar has the promised digest; a store path layer has one form and no promise. Counts its entries. */
async function findForm(
  source: StoreFilesLayer,
  digestOf: (form: FilesLayer) => Promise<TarBlob | undefined>,
  { limit }: StoreLayersContext,
): Promise<FilesDigest | undefined> {
  const { files, promised } = source
  for (const form of isMerged(files) ? inAllForms(files) : [files]) {
    const made = await digestOf(form)
    if (!made || (isMerged(form) && made.digest !== promised)) continue
    limit.add(made.entries * ENTRY_BYTES)
    const { digest, size } = made
    return { source: { ...source, files: form }, digestKind: 'tar', digest, size }
  }
  return undefined
}

/** Paths that a message names. */
const NAMED_PATHS = 3

/** The actual digest is not reported: it would reveal something of files that the image's author may not be able to read. */
function refuse(source: StoreFilesLayer): never {
  const paths = storePathsOf(source.files)
  const more = paths.length > NAMED_PATHS ? ` and ${paths.length - NAMED_PATHS} more` : ''
  throw archiveInvalid(
    `is a nix2container JSON with a layer that is not what it says, ${paths.slice(0, NAMED_PATHS).join(', ')}${more}: ` +
      'it was made by a nix2container older than October 2022 or by one that makes layers in an unknown way, ' +
      'or one of these paths has other content on this node than where it was made. ' +
      'Make the JSON with a current nix2container, on this node or from paths that are copied to it',
  )
}
