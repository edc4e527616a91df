import { quote } from '../../../lib/text/quote.ts'
import { readableReference, repositoryOf } from '../../../recipes/reference.ts'
import type { Platform } from '../image/config.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { OnLayer } from './layout.ts'

/** Which image of an archive to read. */
export interface WantedImage {
  readonly host: Platform
  /** Normalized reference; missing for a base image, whose name does not matter. */
  readonly wanted: string | undefined
  readonly onLayer: OnLayer
}

/**
 * Whether one of an image's names in the archive is the wanted one, which is normalized. A reference with a digest is matched by
 * its repository.
 */
export function isNamed(names: Iterable<string>, wanted: string): boolean {
  for (const name of names) {
    const normalized = readableReference(name)
    if (normalized === wanted) return true
    if (normalized !== undefined && wanted.includes('@') && repositoryOf(normalized) === repositoryOf(wanted))
      return true
  }
  return false
}

/** Images that a message names. */
const MAX_LISTED = 5

/** `names`: of all `count` images. `wanted` is missing for a base image. */
export function severalImages(names: readonly string[], count: number, wanted: string | undefined): Error {
  const shown = names.slice(0, MAX_LISTED).map(quote).join(', ')
  const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : ''
  const listed = names.length > 0 ? `named ${shown}${more}` : 'without names'
  const way =
    wanted === undefined
      ? 'use an archive of one image as the base'
      : 'ask for one of these names, or make a package of each image'
  const none = wanted === undefined ? '' : `, and not exactly one of them is ${quote(wanted)}`
  return archiveInvalid(`holds ${count} images, ${listed}${none}: ${way}`)
}
