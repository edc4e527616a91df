import { shareAnswer } from '../../lib/async/share-answer.ts'
import { memoryFolders } from '../import/worker/memory-folders.ts'
import { layOut } from '../nix/user/state-dir.ts'
import { type FolderUse, folderUse } from './folder-use.ts'
import { createKeptImages, type KeptImages, type KeptImagesOptions } from './kept-images.ts'
import { createStoreUse, type StoreUse, type StoreUseOptions } from './store-use.ts'

export interface HoldingsOptions extends KeptImagesOptions, StoreUseOptions {
  /** Absolute. */
  readonly stateDir: string
}

/** What is there because of the shim. */
export interface Held extends KeptImages {
  readonly store: StoreUse
  readonly digests: FolderUse
  readonly plans: FolderUse
  readonly logs: FolderUse
}

/** Takes a bounded time, and never throws. Those who ask at the same time share one look. */
export function createHoldings({ stateDir, ...options }: HoldingsOptions): () => Promise<Held> {
  const keptImages = createKeptImages(options)
  const storeUse = createStoreUse(options)
  const { digests, plans } = memoryFolders(stateDir)
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
