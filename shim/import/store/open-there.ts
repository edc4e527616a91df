import { closeSync, constants, openSync, readlinkSync, realpathSync } from 'node:fs'
import { STORE_DIR } from '../../../recipes/store-path.ts'
import { atPath, changed } from './at-path.ts'
import type { ByteString } from './byte-string.ts'

/** Opening takes no symlink for the file, and waits for nobody at what became a pipe. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Opens what is at a path that has no link on its way: where whoever owns the store puts one there meanwhile, it would lead
 * root elsewhere. Throws ImportInterrupted then, and as atPath.
 */
export function openThere(path: ByteString, flags = 0): number {
  const file = atPath(path, at => openSync(at, FLAGS | flags))
  if (isAt(file, path)) return file
  closeSync(file)
  throw changed(path)
}

/** Leads to what was opened. */
export function inProc(file: number): string {
  return `/proc/self/fd/${file}`
}

function isAt(file: number, path: ByteString): boolean {
  const real = readlinkSync(inProc(file), 'buffer').toString('latin1')
  if (real === path) return true
  // The store itself may be reached by a link.
  return path.startsWith(`${STORE_DIR}/`) && real === realpathSync(STORE_DIR) + path.slice(STORE_DIR.length)
}
