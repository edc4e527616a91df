import type { StatusReport } from '../../wire/status.ts'
import { statusLines } from '../status-lines.ts'
import type { StatusView } from '../status-view.ts'

/** Plain text: one block for the first report and for each that says something new, but for how far a run is. */
export function createStatusBlocks(output: { write(text: string): boolean }): StatusView {
  let shown: string | undefined
  return {
    show(report) {
      const gist = gistOf(report)
      if (gist === shown) return
      const lines = statusLines(report, new Date())
      output.write(`${shown === undefined ? '' : '\n'}${lines.map(line => `${line}\n`).join('')}`)
      shown = gist
    },
    close() {},
  }
}

/** What is worth another block. */
function gistOf({ shim, runs, queue, results, images, disk }: StatusReport): string {
  const runOf = ({ image, recipe, progress, waiting, waiters }: StatusReport['runs'][number]) => [
    image,
    recipe,
    progress.phase,
    waiting,
    waiters,
  ]
  return JSON.stringify([shim, runs.map(runOf), queue.map(runOf), results, images, disk.store])
}
