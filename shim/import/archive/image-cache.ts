import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { openFileCache } from '../../../lib/files/file-cache.ts'
import type { DocumentBlob, Layer } from '../../containerd/services/descriptor.ts'
import { pairLayers, parseConfig } from '../image/config.ts'
import { digestOf } from '../image/json.ts'
import { descriptorSchema } from '../image/parsed-image.ts'
import type { StoreInfos } from '../store/closure.ts'
import type { ArchiveImage } from './layout.ts'
import { parseManifest } from './oci-layout.ts'

/** Images of archives that were read before, each by a key of everything that it depends on. */
export interface ImageCache {
  recall(key: string): Promise<CachedImage | undefined>
  remember(key: string, image: CachedImage): Promise<void>
}

export type CachedImage = Omit<ArchiveImage, 'isOneOfSeveral'>

/**
 * Key of the image in a file or folder of the store: that path and its package's whole closure, since a rebuild may have other
 * content. If the wanted name has decided among several images, also that `name`.
 */
export function imageKey(path: string, closure: StoreInfos, name?: string): string {
  const contents = [...closure.values()].map(({ path, narHash }) => [path, narHash])
  const sorted = contents.sort(([one = ''], [other = '']) => (one < other ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify(name === undefined ? [path, sorted] : [path, sorted, name]))
    .digest('hex')
}

const MAX_IMAGES = 1_000
/** In characters. Most have about 20 kB; an image with a longer entry is read each time. */
const MAX_ENTRY_LENGTH = 256 * 1024

/** An entry that is damaged, or that another user may have written, counts as none. */
export function openImageCache(folder: string): ImageCache {
  const files = openFileCache(folder, MAX_IMAGES)
  return {
    async recall(key) {
      const text = files.read(`${key}.json`)
      return text === undefined ? undefined : parseEntry(text, key)
    },
    async remember(key, image) {
      const text = JSON.stringify(toEntry(key, image))
      if (text.length <= MAX_ENTRY_LENGTH) await files.write(`${key}.json`, text)
    },
  }
}

const documentSchema = v.object({ ...descriptorSchema.entries, base64: v.string() })
const entrySchema = v.object({
  version: v.literal(6),
  key: v.string(),
  config: documentSchema,
  manifest: documentSchema,
  unpackedSize: v.number(),
  layerNames: v.array(v.string()),
})
type Entry = v.InferOutput<typeof entrySchema>

function toEntry(key: string, { config, manifest, unpackedSize, layerNames }: CachedImage): Entry {
  const documents = { config: encode(config), manifest: encode(manifest) }
  return { version: 6, key, ...documents, unpackedSize, layerNames: [...layerNames] }
}

function encode({ mediaType, digest, size, bytes }: DocumentBlob): Entry['config'] {
  return { mediaType, digest, size, base64: bytes.toString('base64') }
}

function parseEntry(text: string, key: string): CachedImage | undefined {
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), entrySchema), text)
  if (!result.success || result.output.key !== key) return undefined
  const { unpackedSize, layerNames, ...documents } = result.output
  const config = decode(documents.config)
  const manifest = decode(documents.manifest)
  return config && manifest && { config, manifest, layers: layersOf(config, manifest), unpackedSize, layerNames }
}

function decode({ mediaType, digest, size, base64 }: Entry['config']): DocumentBlob | undefined {
  const bytes = Buffer.from(base64, 'base64')
  return digestOf(bytes) === digest ? { mediaType, digest, size, bytes } : undefined
}

/** Read from the two documents, whose digests were computed again. */
function layersOf(config: DocumentBlob, manifest: DocumentBlob): Layer[] {
  return pairLayers(parseManifest(manifest.bytes, 'manifest').layers, parseConfig(config.bytes, 'config'))
}
