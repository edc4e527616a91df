import { RetryableError } from '../../../lib/errors.ts'
import { serveTasks } from '../../../lib/threads/serve-tasks.ts'
import { type FolderTask, fillTree } from './fill-folder.ts'
import { type FillCounts, noCounts, type Placing, toLinkError } from './placing.ts'

/** Folders that a thread is to make, each with everything below it. */
export interface LinkTask {
  readonly folders: readonly FolderTask[]
  readonly placing: Placing
}

serveTasks(({ folders, placing }: LinkTask, { isCancelled }): FillCounts => {
  const counts = noCounts()
  const checkWanted = () => {
    if (isCancelled()) throw new RetryableError('Cancelled', 'the import was cancelled')
  }
  try {
    for (const folder of folders) fillTree(folder, placing, counts, checkWanted)
    return counts
  } catch (error) {
    throw toLinkError(error)
  }
})
