import * as v from 'valibot'
import { RetryableError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { isPinned, parseDigestPin } from '../../../recipes/digest-pin.ts'
import type { ImportCall } from './contract.ts'
import { archiveInvalid } from './errors.ts'
import { parseJson } from './json.ts'
import type { ParsedImage } from './parsed-image.ts'

/** Throws ArchiveInvalid if a normalized reference pins another manifest, or one that cannot be verified. */
export function checkPinnedDigest(image: string, { manifest }: Pick<ParsedImage, 'manifest'>): void {
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

/** Ten times the config of an image with a hundred layers. containerd keeps each config in memory. */
const MAX_CONFIG_BYTES = 512 * 1024

/** As long as a path may be. `User` is a part of every list of images, which may have 16 MiB in total. */
const MAX_TEXT_LENGTH = 4096

const schema = v.record(v.string(), v.unknown())

/** Throws ArchiveInvalid for a config so large that lists of images would become slow or fail. */
export function checkConfigSize({ config: { bytes } }: Pick<ParsedImage, 'config'>): void {
  if (bytes.length > MAX_CONFIG_BYTES)
    throw archiveInvalid(`has a config of ${bytes.length} bytes, more than ${MAX_CONFIG_BYTES}`)
  // Go ignores the case of keys, so all of them are checked.
  for (const part of Object.values(parseJson(schema, bytes, 'config')))
    for (const [key, value] of Object.entries(v.is(schema, part) ? part : {}))
      if (typeof value === 'string' && value.length > MAX_TEXT_LENGTH)
        throw archiveInvalid(
          `has a config whose ${quote(key.slice(0, 64))} has ${value.length} characters, more than ${MAX_TEXT_LENGTH}`,
        )
}

type Claim = Pick<ImportCall, 'image' | 'ownedBy' | 'replaceForeign'>

/** Throws ImageNotOurs if an image of that name is not the shim's and may not be replaced. */
export function refuseForeign(
  { image, ownedBy, replaceForeign }: Claim,
  present: { readonly labels: Readonly<Record<string, string>> },
): void {
  if (replaceForeign || ownedBy in present.labels) return
  throw new RetryableError(
    'ImageNotOurs',
    `an image ${quote(image)} that enbi-shim did not put there is on the node, and is not replaced: remove it, choose another name, or set replaceForeign in the policy rule`,
  )
}
