import { statfs } from 'node:fs/promises'
import { STORE_DIR } from '../../../recipes/store-path.ts'
import type { DiskRoom } from './plan-collection.ts'

/** Space on the disk of the Nix store. */
export async function storeRoom(): Promise<DiskRoom> {
  const { bavail, blocks, bsize, files, ffree } = await statfs(STORE_DIR)
  // Btrfs, for one, has no fixed number of inodes, and says 0.
  return { total: blocks * bsize, free: bavail * bsize, ...(files > 0 && { inodes: { total: files, free: ffree } }) }
}
