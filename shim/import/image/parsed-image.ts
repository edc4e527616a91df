import * as v from 'valibot'
import type { Descriptor, DocumentBlob, Layer } from '../../containerd/services/descriptor.ts'
import { digestOf } from './json.ts'

/**
 * The image in a build result, whatever its format. Code that reads build results makes it, code that writes to containerd uses
 * it. Digests and sizes are computed from the bytes that were read. Layers go from the bottom up.
 */
export interface ParsedImage {
  readonly config: DocumentBlob
  readonly manifest: DocumentBlob
  readonly layers: readonly Layer[]
  /** File names of the layers in a docker-archive, bottom first; empty for other formats. */
  readonly layerNames: readonly string[]
}

/** An image whose snapshots are in containerd. */
export interface UnpackedImage extends ParsedImage {
  /** ChainID of the top layer, empty if there is no layer. */
  readonly chainId: string
}

export const digestSchema = v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hex digits'))
/** Source: OCI image specification, descriptor.md. */
export const descriptorSchema = v.object({
  mediaType: v.string(),
  digest: digestSchema,
  size: v.pipe(v.number(), v.integer(), v.minValue(0)),
})

/** A blob with the digest that was computed from its bytes. */
export type StoredBlob = Pick<Descriptor, 'digest' | 'size'>

export const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
/** Type of an uncompressed layer. */
export const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar'
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'

/** Makes the manifest of an image that comes without one: the same parts give the same bytes. */
export function makeManifest(config: Descriptor, layers: readonly Descriptor[]): DocumentBlob {
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: describe(config),
    layers: layers.map(describe),
  }
  return makeDocument(MANIFEST_TYPE, Buffer.from(JSON.stringify(manifest)))
}

export function makeDocument(mediaType: string, bytes: Buffer): DocumentBlob {
  return { mediaType, digest: digestOf(bytes), size: bytes.length, bytes }
}

function describe({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}
