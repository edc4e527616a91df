import { RetryableError } from '../../../lib/errors.ts'
import { serveTasks } from '../../../lib/threads/serve-tasks.ts'
import { fillTree, type LinkTask } from './fill-folder.ts'
import { type FillCounts, noCounts, toLinkError } from './place-file.ts'

serveTasks(({ folders, options }: LinkTask, { isCancelled }): FillCounts => {
  const counts = noCounts()
  const checkWanted = () => {
    if (isCancelled()) throw new RetryableError('Cancelled', 'the import was cancelled')
  }
  try {
    for (const folder of folders) fillTree(folder, options, counts, checkWanted)
    return counts
  } catch (error) {
    throw toLinkError(error)
  }
})
