import { FinalError } from '../lib/errors.ts'
import { quote } from '../lib/text/quote.ts'
import type { StorePathRecipe } from './recipe.ts'
import { normaliseReference } from './reference.ts'
import { isStorePath, STORE_PATH_HOST } from './store-path.ts'

/** What every reference to a store path starts with. */
const PREFIX = `${STORE_PATH_HOST}/nix/store/`
/** The kubelet gives it to every reference without one. */
const TAG = ':latest'

/** A cheap look at a raw protobuf message: whether a reference to a store path can be in it. */
export function mentionsStorePath(message: Buffer): boolean {
  return message.includes(PREFIX)
}

/**
 * The recipe that a reference `nix:0/nix/store/<hash>-<name>` is by itself; undefined of any other. Throws RecipeInvalid when
 * what follows is no store path, is a derivation, or has a digest or a tag of its own. Source: nix-snapshotter, docs/architecture.md.
 */
export function storePathRecipe(reference: string): StorePathRecipe | undefined {
  if (!reference.startsWith(PREFIX)) return undefined
  if (reference !== reference.toLowerCase())
    throw invalid(
      reference,
      'a reference has no capital letters: a store path with such a name needs a derivation of another name, or a flake recipe',
    )
  const image = normaliseReference(reference)
  const storePath = image.slice(STORE_PATH_HOST.length, -TAG.length)
  if (!image.endsWith(TAG)) throw invalid(reference, 'a store path has neither a digest nor a tag but latest')
  if (!isStorePath(storePath)) throw invalid(reference, 'it is no store path, as in /nix/store/<hash>-<name>')
  if (storePath.endsWith('.drv')) throw invalid(reference, 'it is a derivation, and not what is built of one')
  return { image, storePath }
}

function invalid(reference: string, why: string): FinalError {
  return new FinalError('RecipeInvalid', `the image ${quote(reference)} is invalid: ${why}`)
}
