import { statfs } from 'node:fs/promises'

/** A derivation takes a block and an inode; what is left to root alone is none of the build user's. */
const LEAST_BYTES = 1024 * 1024
const LEAST_INODES = 16

/** Whether a folder's disk has no room for another derivation. */
export async function isDiskFull(folders: readonly string[]): Promise<boolean> {
  const disks = await Promise.all(folders.map(folder => statfs(folder)))
  return disks.some(
    ({ bavail, bsize, files, ffree }) => bavail * bsize < LEAST_BYTES || (files > 0 && ffree < LEAST_INODES),
  )
}
