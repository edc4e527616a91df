import pMap from 'p-map'
import type { StoredBlob } from '../blob-store.ts'
import { archiveInvalid } from '../invalid.ts'
import { tarKey } from '../layers/digest-keys.ts'
import { type FilesLayer, storePathsOf } from '../layers/files-layer.ts'
import { inAllForms } from '../layers/merged-layer.ts'
import { TAR_THREADS } from '../layers/tar-threads.ts'
import type { ContentLayer } from '../sources/native-image.ts'
import type { NativeStage } from './stage.ts'

export interface NamedContent extends StoredBlob {
  /** In the form that the digest is of. */
  readonly source: ContentLayer
  readonly namedBy: 'tar' | 'content'
}

export type NamedContents = ReadonlyMap<ContentLayer, NamedContent>

/** Those whose tars were made on this node before, of the very same content, and are what the image promises. */
export async function recallTars(layers: readonly ContentLayer[], stage: NativeStage): Promise<NamedContents> {
  const found = await Promise.all(layers.map(layer => findForm(layer, form => recallTar(form, stage))))
  return new Map(layers.flatMap((layer, index) => (found[index] ? [[layer, found[index]]] : [])))
}

/** Makes the tars, which are in the content store then. Throws ArchiveInvalid when one is not what the image promises. */
export function makeTars(layers: readonly ContentLayer[], stage: NativeStage): Promise<NamedContents> {
  return nameByTars(layers, async form => (await recallTar(form, stage)) ?? makeTar(form, stage))
}

/** Reads through what the tars would be. Throws ArchiveInvalid when one is not what the image promises. */
export function hashTars(layers: readonly ContentLayer[], stage: NativeStage): Promise<NamedContents> {
  const hashTar = async (form: FilesLayer) => rememberTar(form, await stage.tars.digest(form), stage)
  return nameByTars(layers, async form => (await recallTar(form, stage)) ?? hashTar(form))
}

/** Makes the tar of a layer, sends it to the content store and remembers its digest. */
export async function makeTar(layer: FilesLayer, stage: NativeStage): Promise<StoredBlob> {
  await stage.paths.infoOf(storePathsOf(layer))
  return rememberTar(layer, await stage.writer.write(stage.tars.tar(layer)), stage)
}

async function recallTar(layer: FilesLayer, { cache, paths }: NativeStage): Promise<StoredBlob | undefined> {
  return cache.recall(tarKey(layer, await paths.infoOf(storePathsOf(layer))))
}

async function rememberTar(layer: FilesLayer, { digest, size }: StoredBlob, { cache, paths }: NativeStage) {
  await cache.remember(tarKey(layer, await paths.infoOf(storePathsOf(layer))), { digest, size })
  return { digest, size }
}

async function nameByTars(
  layers: readonly ContentLayer[],
  digestOf: (form: FilesLayer) => Promise<StoredBlob>,
): Promise<NamedContents> {
  const name = async (source: ContentLayer) => (await findForm(source, digestOf)) ?? refuse(source)
  const named = await pMap(layers, name, { concurrency: TAR_THREADS })
  return new Map(layers.flatMap((layer, index) => (named[index] ? [[layer, named[index]]] : [])))
}

/** The form whose tar has the promised digest; a layer that nothing is promised of has one form. */
async function findForm(
  source: ContentLayer,
  digestOf: (form: FilesLayer) => Promise<StoredBlob | undefined>,
): Promise<NamedContent | undefined> {
  const forms = source.kind === 'merged' ? inAllForms(source.layer).map(layer => ({ ...source, layer })) : [source]
  for (const form of forms) {
    const made = await digestOf(form.layer)
    if (made && (form.kind === 'store' || made.digest === form.promised))
      return { source: form, namedBy: 'tar', ...made }
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
