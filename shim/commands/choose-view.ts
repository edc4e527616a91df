import { isRedrawable } from '../../lib/text/terminal.ts'
import { createLiveView } from './pull-live-view.ts'
import { createJsonView, createLineView, type PullView, type TerminalOptions } from './pull-view.ts'

export interface PullIo {
  readonly json: boolean
  readonly output: NodeJS.WriteStream
  readonly signal: AbortSignal
}

/** JSON with `--json`, a live view on a terminal, plain lines elsewhere. */
export function chooseView(options: TerminalOptions, json: boolean): PullView {
  if (json) return createJsonView(options)
  return isRedrawable(options.output) ? createLiveView(options) : createLineView(options)
}
