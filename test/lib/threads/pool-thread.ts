import { FinalError } from '../../../lib/errors.ts'
import { serveTasks, type TaskContext } from '../../../lib/threads/serve-tasks.ts'

export type TestTask = 'count' | 'fail' | 'throw' | 'end' | 'wait'

/** Sends two parts and an answer, or fails as the task says. */
serveTasks(async (task: TestTask, { data, send, isCancelled }: TaskContext<string, number>): Promise<number> => {
  if (task === 'fail') throw new FinalError('ArchiveInvalid', 'damaged')
  if (task === 'throw') throw new Error('unexpected')
  if (task === 'end') process.exit(1)
  send('one')
  while (task === 'wait' && !isCancelled()) await new Promise(setImmediate)
  send('two')
  return data
})
