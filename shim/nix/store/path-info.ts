import * as v from 'valibot'
import { FinalError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/text/size.ts'
import { isStorePath, type StorePathInfo } from '../../../recipes/store-path.ts'

/** A path below the Nix store and nothing below it: `/nix/store/<hash>-<name>`. */
export const storePathSchema = v.pipe(
  v.string(),
  v.check(text => isStorePath(text), 'expected a store path'),
)

export interface PathQuery {
  /** The paths that they refer to as well, and so on. */
  readonly recursive: boolean
  /** A Nix daemon that is away is waited for, for a bounded time. */
  readonly waitForDaemon?: boolean
  readonly signal: AbortSignal
}

/** A whole NixOS has some 2,000 paths, and 20,000 references between them, of 1.5 MB in all. */
const MAX_PATHS = 20_000
const MAX_REFERENCES = 100_000
/** Of the names of paths and references: each may have 211 characters, four times as many as most. */
const MAX_BYTES = 8 * 1024 * 1024

/** Counts what is known of store paths, as it comes: all of it passes through the daemon. */
export interface ClosureSize {
  /** Throws NotAnImage when there is more than an image has. */
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
    `the package refers to more than an image may: over ${MAX_PATHS} store paths, or ${MAX_REFERENCES} references between them, or ${formatSize(MAX_BYTES)} of their names`,
  )
}
