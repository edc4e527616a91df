import { styleText } from 'node:util'
import { createLogUpdate } from 'log-update'
import type { StatusReport } from '../wire/status.ts'
import { statusLines } from './status-lines.ts'

/** Shows the state of a shim, again with each report. */
export interface StatusView {
  show(report: StatusReport): void
  /** Restores the terminal, with the last report on it. */
  close(): void
}

interface Output {
  write(text: string): boolean
}

/** One object per line, times as ISO 8601; unknown values are left out. */
export function createStatusJson(output: Output): StatusView {
  return {
    show: report => void output.write(`${JSON.stringify(report)}\n`),
    close() {},
  }
}

/** Plain text: one block for the first report, and one for each report with other news than the progress of a run. */
export function createStatusBlocks(output: Output): StatusView {
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

/** The part of a report that is worth another block. */
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

/** Ages are shown in seconds. */
const REDRAW_MS = 1000

/** Redrawn in place, as wide as the terminal; lines that do not fit it are left out. */
export function createStatusLive(output: NodeJS.WriteStream): StatusView {
  const update = createLogUpdate(output)
  let latest: StatusReport | undefined
  const draw = () => {
    if (!latest) return
    const { rows = 24, columns = 80 } = output
    const lines = statusLines(latest, new Date(), columns - 1)
    const fitting = lines.length < rows ? lines : [...lines.slice(0, rows - 2), '…']
    update(fitting.map(emphasize).join('\n'))
  }
  const timer = setInterval(draw, REDRAW_MS)
  return {
    show(report) {
      latest = report
      draw()
    },
    close() {
      clearInterval(timer)
      update.done()
    },
  }
}

/** Headings stand at the start of the line. */
function emphasize(line: string): string {
  return /^\S/.test(line) ? styleText('bold', line) : line
}
