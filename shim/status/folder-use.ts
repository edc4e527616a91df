import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'

export interface FolderUse {
  readonly files: number
  /** Sum of their lengths; beyond `MAX_LOOKS` files an estimate from that many. */
  readonly bytes: number
}

/** Of files that are looked at; how many at once. */
const MAX_LOOKS = 5000
const CONCURRENCY = 16

/** What lies directly in a folder. One that is not there, or cannot be read, has nothing. */
export async function folderUse(folder: string): Promise<FolderUse> {
  const names = await readdir(folder).catch(() => [])
  const sample = names.slice(0, MAX_LOOKS)
  // A file may go at any moment.
  const sizeOf = async (name: string) => (await lstat(join(folder, name)).catch(() => undefined))?.size ?? 0
  const sizes = await pMap(sample, sizeOf, { concurrency: CONCURRENCY })
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  return { files: names.length, bytes: Math.round((bytes * names.length) / Math.max(1, sample.length)) }
}
