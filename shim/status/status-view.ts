import type { StatusReport } from './messages.ts'
import { isRedrawable } from './redrawable.ts'
import { createStatusBlocks } from './status-blocks.ts'
import { createStatusLive } from './status-live.ts'

/** Shows what a shim does and holds, again with each report. */
export interface StatusView {
  show(report: StatusReport): void
  /** Leaves the terminal as it was found, with the last report on it. */
  close(): void
}

export interface StatusViewOptions {
  readonly watch: boolean
  readonly json: boolean
  readonly output: NodeJS.WriteStream
}

/** JSON when asked for, a live view on a terminal that is watched, plain text otherwise. */
export function createStatusView({ watch, json, output }: StatusViewOptions): StatusView {
  if (json) return createJsonLines(output)
  return watch && isRedrawable(output) ? createStatusLive(output) : createStatusBlocks(output)
}

/** One object a line; times as ISO 8601 has them, and what is not known is left out. */
function createJsonLines(output: NodeJS.WriteStream): StatusView {
  return {
    show: report => void output.write(`${JSON.stringify(report)}\n`),
    close() {},
  }
}
