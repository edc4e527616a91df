import { FinalError } from '../errors.ts'
import type { PathInfo } from './contract.ts'

/** A whole NixOS has some 2,000 paths, and 20,000 references between them. */
const MAX_PATHS = 20_000
const MAX_REFERENCES = 100_000

/** Throws NotAnImage when there is more than an image has: what is known of it passes through the daemon. */
export function checkSize(infos: Iterable<PathInfo>): void {
  let paths = 0
  let references = 0
  for (const info of infos) {
    paths += 1
    references += info.references.length
  }
  if (paths > MAX_PATHS || references > MAX_REFERENCES)
    throw new FinalError(
      'NotAnImage',
      `the package refers to more than an image may: over ${MAX_PATHS} store paths, or ${MAX_REFERENCES} references between them`,
    )
}
