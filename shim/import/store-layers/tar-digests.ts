import pMap from 'p-map'
import { type EntryRoom, takenOf } from '../image/entry-room.ts'
import { archiveInvalid } from '../image/errors.ts'
import { ENTRY_BYTES } from '../image/size-limit.ts'
import { type FilesLayer, storePathsOf } from '../layers/files-layer.ts'
import { inAllForms } from '../layers/merged-layer.ts'
import type { ContentLayer } from '../layers/store-image.ts'
import type { StoredBlob } from '../streams/blob-store.ts'
import { entriesKey, tarKey } from './digest-keys.ts'
import type { NativeStage } from './stage.ts'
import { TAR_THREADS } from './tar-threads.ts'

interface TarBlob extends StoredBlob {
  readonly entries: number
}

export interface NamedContent extends StoredBlob {
  /** In the form that the digest is of. */
  readonly source: ContentLayer
  readonly namedBy: 'tar' | 'content'
}

export type NamedContents = ReadonlyMap<ContentLayer, NamedContent>

/**
 * Those whose tars were made on this node before, of the very same content, and are what the image promises. Their entries count as
 * if they were made now: containerd may have to unpack them once more. Throws ImageTooLarge.
 */
export async function recallTars(layers: readonly ContentLayer[], stage: NativeStage): Promise<NamedContents> {
  const found = await Promise.all(layers.map(layer => findForm(layer, form => recallTar(form, stage), stage)))
  return new Map(layers.flatMap((layer, index) => (found[index] ? [[layer, found[index]]] : [])))
}

/** Makes the tars, which are in the content store then. Throws ArchiveInvalid when one is not what the image promises; ImageTooLarge. */
export function makeTars(layers: readonly ContentLayer[], stage: NativeStage): Promise<NamedContents> {
  return nameByTars(layers, async form => (await recallTar(form, stage)) ?? makeTar(form, stage), stage)
}

/** Reads through what the tars would be. Throws ArchiveInvalid when one is not what the image promises; ImageTooLarge. */
export function hashTars(layers: readonly ContentLayer[], stage: NativeStage): Promise<NamedContents> {
  const hashTar = (form: FilesLayer) => readTar(form, entries => stage.tars.digest(form, entries), stage)
  return nameByTars(layers, async form => (await recallTar(form, stage)) ?? hashTar(form), stage)
}

/** Makes the tar of a layer, sends it to the content store and remembers its digest. */
export async function makeTar(layer: FilesLayer, stage: NativeStage): Promise<TarBlob> {
  await stage.paths.infoOf(storePathsOf(layer))
  return readTar(layer, entries => stage.writer.write(stage.tars.tar(layer, entries)), stage)
}

async function recallTar(layer: FilesLayer, { cache, paths }: NativeStage): Promise<TarBlob | undefined> {
  const infos = await paths.infoOf(storePathsOf(layer))
  const blob = await cache.recall(tarKey(layer, infos))
  const counted = blob && (await cache.recall(entriesKey(layer, infos)))
  return counted && { ...blob, entries: counted.size }
}

/** One tar alone takes no more entries than all may; who names the layer counts them. */
async function readTar(
  layer: FilesLayer,
  read: (entries: EntryRoom) => Promise<StoredBlob>,
  { cache, limit, paths }: NativeStage,
): Promise<TarBlob> {
  const room = limit.room()
  const { digest, size } = await read(room)
  const entries = takenOf(room)
  const infos = await paths.infoOf(storePathsOf(layer))
  await cache.remember(entriesKey(layer, infos), { digest, size: entries })
  await cache.remember(tarKey(layer, infos), { digest, size })
  return { digest, size, entries }
}

async function nameByTars(
  layers: readonly ContentLayer[],
  digestOf: (form: FilesLayer) => Promise<TarBlob>,
  stage: NativeStage,
): Promise<NamedContents> {
  const name = async (source: ContentLayer) => (await findForm(source, digestOf, stage)) ?? refuse(source)
  const named = await pMap(layers, name, { concurrency: TAR_THREADS })
  return new Map(layers.flatMap((layer, index) => (named[index] ? [[layer, named[index]]] : [])))
}

/** The form whose tar has the promised digest; a layer that nothing is promised of has one form. Its entries are counted. */
async function findForm(
  source: ContentLayer,
  digestOf: (form: FilesLayer) => Promise<TarBlob | undefined>,
  { limit }: NativeStage,
): Promise<NamedContent | undefined> {
  const forms = source.kind === 'merged' ? inAllForms(source.layer).map(layer => ({ ...source, layer })) : [source]
  for (const form of forms) {
    const made = await digestOf(form.layer)
    if (!made || (form.kind === 'merged' && made.digest !== form.promised)) continue
    limit.add(made.entries * ENTRY_BYTES)
    const { digest, size } = made
    return { source: form, namedBy: 'tar', digest, size }
  }
  return undefined
}

/** Paths that a message names. */
const NAMED_PATHS = 3

/** What the digest is instead is not said: it would tell of files that the image's author may not be able to read. */
function refuse(source: ContentLayer): never {
  const paths = storePathsOf(source.layer)
  const more = paths.length > NAMED_PATHS ? ` and ${paths.length - NAMED_PATHS} more` : ''
  throw archiveInvalid(
    `is a nix2container JSON with a layer that is not what it says, ${paths.slice(0, NAMED_PATHS).join(', ')}${more}: ` +
      'it was made by a nix2container of before October 2022 or by one that makes layers in a way unknown here, ' +
      'or one of these paths has other content on this node than where it was made. ' +
      'Make the JSON with a nix2container of today, on this node or from paths that are copied to it',
  )
}
