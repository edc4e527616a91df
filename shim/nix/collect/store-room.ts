import { statfs } from 'node:fs/promises'
import { STORE_DIR } from '../../../recipes/store-path.ts'
import type { DiskRoom } from './plan-collection.ts'

/** Space on the disk of the Nix store. */
export async function storeRoom(): Promise<DiskRoom> {
  const { bavail, blocks, bsize } = await statfs(STORE_DIR)
  return { total: blocks * bsize, free: bavail * bsize }
}
