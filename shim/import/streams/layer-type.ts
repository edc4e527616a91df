import { archiveInvalid } from '../image/errors.ts'
import { LAYER_TYPE } from '../image/manifest.ts'
import type { Compression } from './compression.ts'

/** The type of a layer with such bytes. Throws ArchiveInvalid for a compression that containerd does not know. */
export function layerTypeOf(compression: Compression): string {
  refuseXz(compression)
  return compression === 'none' ? LAYER_TYPE : `${LAYER_TYPE}+${compression}`
}

/** OCI's types of layers that are not compressed. */
const PLAIN = /^application\/vnd\.oci\.image\.layer\.(nondistributable\.)?v1\.tar$/

/**
 * containerd unpacks bytes of these types as they are, and finds out by their beginning how those of all others are compressed.
 * A tar may begin as compressed bytes do, so that it has one content here and another there. Throws ArchiveInvalid.
 */
export function checkLayerType(mediaType: string, compression: Compression): void {
  refuseXz(compression)
  if (compression !== 'none' && PLAIN.test(mediaType))
    throw archiveInvalid(
      `has a layer that is compressed with ${compression}, which its type does not say: ${mediaType}`,
    )
}

function refuseXz(compression: Compression): void {
  if (compression === 'xz')
    throw archiveInvalid('has a layer that is compressed with xz; gzip and zstd can be unpacked')
}
