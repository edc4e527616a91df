import { parseFamiliarName } from '@swimlane/docker-reference'
import { parseDigestPin } from './digest-pin.ts'
import { FinalError } from './errors.ts'
import { quote } from './quote.ts'
import { STORE_PATH_HOST } from './store-path.ts'

/** Longest image reference that is looked at; the OCI distribution limits are 255 for a name and 128 for a tag. */
const MAX_REFERENCE_LENGTH = 512

/**
 * An image reference as containerd stores it: registry host and `library/` filled in, `:latest` when neither tag nor
 * digest is given, the tag dropped when there is a digest (containerd `reference/docker`, ParseDockerRef).
 * Throws RecipeInvalid.
 */
export function normaliseReference(reference: string): string {
  if (reference.length > MAX_REFERENCE_LENGTH)
    throw new FinalError(
      'RecipeInvalid',
      `${quote(reference)} is no image reference: longer than ${MAX_REFERENCE_LENGTH} characters`,
    )
  const { domain, repository, tag, digest } = parse(reference)
  if (digest && !parseDigestPin(digest))
    throw new FinalError(
      'RecipeInvalid',
      `${quote(reference)} has a digest that cannot be verified: expected sha256:, sha384: or sha512: and lower-case hex digits`,
    )
  const name = `${domain}/${repository}`
  return digest ? `${name}@${digest}` : `${name}:${tag ?? 'latest'}`
}

/** The same, of an image that a flake is built for: a name that stands for a store path is none. Throws RecipeInvalid. */
export function normaliseFlakeImage(reference: string): string {
  const normalised = normaliseReference(reference)
  if (normalised.startsWith(`${STORE_PATH_HOST}/`))
    throw new FinalError('RecipeInvalid', `${quote(reference)} stands for a store path by itself, and for no flake`)
  return normalised
}

/** The part of a normalised reference before its tag or digest: `registry.example:5000/team/app`. */
export function repositoryOf(normalised: string): string {
  return normalised.replace(/(@[^/]*|:[^/:]*)$/, '')
}

function parse(reference: string) {
  try {
    return parseFamiliarName(reference)
  } catch (cause) {
    throw new FinalError(
      'RecipeInvalid',
      `${quote(reference)} is no image reference, as in registry.example/team/app:1.0`,
      { cause },
    )
  }
}
