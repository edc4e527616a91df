import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'
import { shareAnswer } from '../../lib/async/share-answer.ts'
import { importerFolders } from '../import/identity.ts'
import { layOut } from '../nix/user/state-dir.ts'
import { createKeptImages, type KeptImages, type KeptImagesOptions } from './kept-images.ts'
import { createStoreUse, type StoreUse, type StoreUseOptions } from './store-use.ts'

export interface FolderUse {
  readonly files: number
  /** Sum of the files' lengths; for more than `MAX_LOOKS` files, an estimate from that many. */
  readonly bytes: number
}

/** Maximum number of files that are measured, and how many concurrently. */
const MAX_LOOKS = 5000

const CONCURRENCY = 16

export interface DiskUseOptions extends KeptImagesOptions, StoreUseOptions {
  /** Absolute path. */
  readonly stateDir: string
}

/** Disk space that the shim uses. */
export interface Held extends KeptImages {
  readonly store: StoreUse
  readonly digests: FolderUse
  readonly plans: FolderUse
  readonly logs: FolderUse
}

/** Takes a bounded time and never throws. Concurrent calls share one measurement. */
export function createDiskUse({ stateDir, ...options }: DiskUseOptions): () => Promise<Held> {
  const keptImages = createKeptImages(options)
  const storeUse = createStoreUse(options)
  const { digests, plans } = importerFolders(stateDir)
  const { logs } = layOut(stateDir)
  return shareAnswer(async () => {
    const kept = await keptImages()
    return {
      ...kept,
      store: await storeUse(kept.images.map(({ storePath }) => storePath)),
      digests: await folderUse(digests),
      plans: await folderUse(plans),
      logs: await folderUse(logs),
    }
  })
}

/** The files directly in a folder. A missing or unreadable folder counts as empty. */
export async function folderUse(folder: string): Promise<FolderUse> {
  const names = await readdir(folder).catch(() => [])
  const sample = names.slice(0, MAX_LOOKS)
  // A file may be removed at any moment.
  const sizeOf = async (name: string) => (await lstat(join(folder, name)).catch(() => undefined))?.size ?? 0
  const sizes = await pMap(sample, sizeOf, { concurrency: CONCURRENCY })
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  return { files: names.length, bytes: Math.round((bytes * names.length) / Math.max(1, sample.length)) }
}
