import { FinalError } from '../lib/errors.ts'
import { quote } from '../lib/text/quote.ts'
import type { StorePathRecipe } from './recipe.ts'
import { normalizeReference } from './reference.ts'
import { isStorePath, STORE_PATH_HOST } from './store-path.ts'

/** Prefix of references to store paths. */
const PREFIX = `${STORE_PATH_HOST}/nix/store/`
/** The kubelet adds it to references without a tag. */
const TAG = ':latest'

/** Cheap test of a raw protobuf message: false if it contains no reference to a store path. */
export function mentionsStorePath(message: Buffer): boolean {
  return message.includes(PREFIX)
}

/**
 * The recipe of a reference `nix:0/nix/store/<hash>-<name>`; undefined for other references. Throws RecipeInvalid if
 * the rest is not a store path, is a derivation, or has a digest or a tag other than `latest`. Source: nix-snapshotter,
 * docs/architecture.md.
 */
export function storePathRecipe(reference: string): StorePathRecipe | undefined {
  if (!reference.startsWith(PREFIX)) return undefined
  if (reference !== reference.toLowerCase())
    throw invalid(reference, 'a reference must not have capital letters: rename the derivation, or use a flake recipe')
  const image = normalizeReference(reference)
  const storePath = image.slice(STORE_PATH_HOST.length, -TAG.length)
  if (!image.endsWith(TAG)) throw invalid(reference, 'a store path must have no digest, and no tag other than latest')
  if (!isStorePath(storePath)) throw invalid(reference, 'it is not a store path, as in /nix/store/<hash>-<name>')
  if (storePath.endsWith('.drv')) throw invalid(reference, 'it is a derivation, not its output')
  return { image, storePath }
}

function invalid(reference: string, why: string): FinalError {
  return new FinalError('RecipeInvalid', `the image ${quote(reference)} is invalid: ${why}`)
}
