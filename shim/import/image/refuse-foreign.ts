import { RetryableError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import type { ImportCall } from './contract.ts'

type Claim = Pick<ImportCall, 'image' | 'ownedBy' | 'replaceForeign'>

/** Throws ImageNotOurs when the image that has the name already is somebody else's, unless that may be replaced. */
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
