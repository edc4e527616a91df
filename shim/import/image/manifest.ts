import { digestOf } from './json.ts'
import type { Descriptor, Document } from './parsed-image.ts'

export const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
/** Of a layer that is not compressed. */
export const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar'
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'

/** The manifest of an image that comes without one: always the same for the same parts. */
export function makeManifest(config: Descriptor, layers: readonly Descriptor[]): Document {
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: descriptor(config),
    layers: layers.map(descriptor),
  }
  return document(MANIFEST_TYPE, Buffer.from(JSON.stringify(manifest)))
}

export function document(mediaType: string, bytes: Buffer): Document {
  return { mediaType, digest: digestOf(bytes), size: bytes.length, bytes }
}

function descriptor({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}
