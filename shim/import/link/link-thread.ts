import { parentPort, workerData } from 'node:worker_threads'
import { RetryableError } from '../../../lib/errors.ts'
import { fillTree } from './fill-folder.ts'
import type { LinkReport, LinkTask, LinkThreadData } from './link-task.ts'
import { noCounts, toLinkError } from './placing.ts'

/** A thread that fills folders: gets LinkTasks, answers each with a LinkReport. */
const { cancelled }: LinkThreadData = workerData
const flag = new Int32Array(cancelled)
parentPort?.on('message', (task: LinkTask) => parentPort?.postMessage(run(task)))

function run({ folders, placing }: LinkTask): LinkReport {
  const counts = noCounts()
  try {
    for (const folder of folders) fillTree(folder, placing, counts, checkWanted)
    return { kind: 'done', counts }
  } catch (error) {
    const { code, message } = toLinkError(error)
    return { kind: 'failed', code, message }
  }
}

function checkWanted(): void {
  if (Atomics.load(flag, 0) !== 0) throw new RetryableError('Cancelled', 'the import was cancelled')
}
