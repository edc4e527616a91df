import { isPinned, parseDigestPin } from '../../../recipes/digest-pin.ts'
import { archiveInvalid } from './errors.ts'
import type { ImagePlan } from './parsed-image.ts'

/** A normalised reference may name the very manifest that it wants. Throws ArchiveInvalid when it is another one, or cannot be verified. */
export function checkPinnedDigest(image: string, { manifest }: Pick<ImagePlan, 'manifest'>): void {
  const [, digest] = image.split('@')
  if (digest === undefined) return
  const pin = parseDigestPin(digest)
  if (pin && isPinned(pin, manifest.bytes)) return
  throw archiveInvalid(
    pin
      ? `has the manifest ${manifest.digest}, while the image reference asks for ${digest} (with import.layers: linked a large image has other digests than in a registry)`
      : `cannot be verified to be what the image reference asks for, ${digest}`,
  )
}
