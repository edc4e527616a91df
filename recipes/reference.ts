import { FinalError } from '../lib/errors.ts'
import { quote } from '../lib/text/quote.ts'
import { parseDigestPin } from './digest-pin.ts'
import { STORE_PATH_HOST } from './store-path.ts'

/** Longer references are rejected unread. OCI distribution allows 255 characters for a name and 128 for a tag. */
export const MAX_REFERENCE_LENGTH = 512

/**
 * Normalizes an image reference as containerd does (`reference/docker`, ParseDockerRef): adds registry host and
 * `library/`, adds `:latest` if there is neither tag nor digest, drops the tag if there is a digest. Throws
 * RecipeInvalid.
 */
export function normalizeReference(reference: string): string {
  if (reference.length > MAX_REFERENCE_LENGTH)
    throw new FinalError(
      'RecipeInvalid',
      `${quote(reference)} is not an image reference: longer than ${MAX_REFERENCE_LENGTH} characters`,
    )
  const parsed = parse(reference)
  if (!parsed)
    throw new FinalError(
      'RecipeInvalid',
      `${quote(reference)} is not an image reference, as in registry.example/team/app:1.0${invalidReferenceHint(reference)}`,
    )
  const { domain, path, tag, digest } = parsed
  if (digest !== undefined && !parseDigestPin(digest))
    throw new FinalError(
      'RecipeInvalid',
      `${quote(reference)} has a digest that cannot be verified: expected sha256:, sha384: or sha512: and lower-case hex digits`,
    )
  const name = `${domain}/${path}`
  return digest ? `${name}@${digest}` : `${name}:${tag ?? 'latest'}`
}

function invalidReferenceHint(reference: string): string {
  if (parse(reference.toLowerCase()) !== undefined) return ': its name has capital letters and must be lower case'
  const [named] = splitAt(reference, '@')
  const { domain, rest } = splitDomain(named)
  const [path] = splitAt(rest, ':')
  return isTooLong(domain, path) ? `: its name is longer than ${MAX_NAME_LENGTH} characters` : ''
}

/** Like `normalizeReference`, but undefined for invalid references. containerd may still understand them. */
export function readableReference(reference: string): string | undefined {
  try {
    return normalizeReference(reference)
  } catch {
    return undefined
  }
}

/**
 * Like `normalizeReference`, for the image of a flake recipe: rejects references to store paths. Throws RecipeInvalid.
 */
export function normalizeFlakeImage(reference: string): string {
  const normalized = normalizeReference(reference)
  if (normalized.startsWith(`${STORE_PATH_HOST}/`))
    throw new FinalError('RecipeInvalid', `${quote(reference)} names a store path, not a flake`)
  return normalized
}

/** The parts of a reference, with defaults added; undefined if it is invalid. */
export function splitReference(reference: string): SplitReference | undefined {
  return readableReference(reference) === undefined ? undefined : parse(reference)
}

/** The registry host of a reference, with the default applied. The reference may be invalid. */
export function domainOf(reference: string): string {
  const [named] = splitAt(reference, '@')
  return splitDomain(named).domain
}

/** The part of a normalized reference before its tag or digest, such as `registry.example:5000/team/app`. */
export function repositoryOf(normalized: string): string {
  return normalized.replace(/(@[^/]*|:[^/:]*)$/, '')
}

export interface SplitReference {
  readonly domain: string
  readonly path: string
  /** As written. The normalized reference drops it if there is a digest. */
  readonly tag: string | undefined
  readonly digest: string | undefined
}

/** Undefined if invalid. Source: github.com/distribution/reference, normalize.go and regexp.go. */
function parse(reference: string): SplitReference | undefined {
  if (IMAGE_ID.test(reference)) return undefined
  const [named, digest] = splitAt(reference, '@')
  const { domain, rest } = splitDomain(named)
  const [path, tag] = splitAt(rest, ':')
  const isReference =
    DOMAIN.test(domain) &&
    path.split('/').every(component => PATH_COMPONENT.test(component)) &&
    !isTooLong(domain, path) &&
    (tag === undefined || TAG.test(tag))
  return isReference ? { domain, path, tag, digest } : undefined
}

function isTooLong(domain: string, path: string): boolean {
  return domain.length + 1 + path.length > MAX_NAME_LENGTH
}

const DEFAULT_DOMAIN = 'docker.io'

function splitDomain(name: string): { readonly domain: string; readonly rest: string } {
  const [first, below] = splitAt(name, '/')
  const isDomain = first === 'localhost' || /[.:]/.test(first) || first !== first.toLowerCase()
  if (below === undefined || !isDomain) return inDefaultDomain(name)
  return first === DEFAULT_DOMAIN || first === 'index.docker.io'
    ? inDefaultDomain(below)
    : { domain: first, rest: below }
}

function inDefaultDomain(name: string) {
  return { domain: DEFAULT_DOMAIN, rest: name.includes('/') ? name : `library/${name}` }
}

function splitAt(text: string, separator: string): [before: string, after: string | undefined] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** CRI reads this as an image id, not as a name. */
const IMAGE_ID = /^[0-9a-f]{64}$/
const MAX_NAME_LENGTH = 255
const DOMAIN_COMPONENT = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?'
const DOMAIN = new RegExp(`^(?:${DOMAIN_COMPONENT}(?:\\.${DOMAIN_COMPONENT})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`)
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/
const TAG = /^\w[\w.-]{0,127}$/
