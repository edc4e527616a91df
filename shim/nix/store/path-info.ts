import * as v from 'valibot'
import { FinalError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/text/units.ts'
import { isStorePath, type StorePathInfo } from '../../../recipes/store-path.ts'

/** A store path itself, and not a file in it: `/nix/store/<hash>-<name>`. */
export const storePathSchema = v.pipe(
  v.string(),
  v.check(text => isStorePath(text), 'expected a store path'),
)

export interface PathQuery {
  /** Includes the closure of the paths. */
  readonly recursive: boolean
  /** Waits for an absent Nix daemon, for a limited time. */
  readonly waitForDaemon?: boolean
  readonly signal: AbortSignal
}

/** A whole NixOS has about 2,000 paths and 20,000 references, with 1.5 MB of names. */
const MAX_PATHS = 20_000
const MAX_REFERENCES = 100_000
/** Limit for the names of paths and references. A name can have 211 characters, four times the usual length. */
const MAX_BYTES = 8 * 1024 * 1024

/** Limits a closure while it is read, because the shim holds all of it in memory. */
export interface ClosureSize {
  /** Throws NotAnImage if the closure is too large for an image. */
  add(info: StorePathInfo): void
}

export function createClosureSize(): ClosureSize {
  let paths = 0
  let references = 0
  let bytes = 0
  return {
    add(info) {
      paths += 1
      references += info.references.length
      bytes += info.path.length
      for (const path of info.references) bytes += path.length
      if (paths > MAX_PATHS || references > MAX_REFERENCES || bytes > MAX_BYTES) throw tooLarge()
    },
  }
}

function tooLarge(): FinalError {
  return new FinalError(
    'NotAnImage',
    `the closure of the package is too large for an image: over ${MAX_PATHS} store paths, or ${MAX_REFERENCES} references between them, or ${formatSize(MAX_BYTES)} of their names`,
  )
}
