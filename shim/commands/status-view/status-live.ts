import { styleText } from 'node:util'
import { createLogUpdate } from 'log-update'
import type { StatusReport } from '../../wire/status.ts'
import { statusLines } from '../status-lines.ts'
import type { StatusView } from '../status-view.ts'

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
    update(fitting.map(emphasise).join('\n'))
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
function emphasise(line: string): string {
  return /^\S/.test(line) ? styleText('bold', line) : line
}
