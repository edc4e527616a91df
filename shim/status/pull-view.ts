import type { ShimError } from '../../lib/errors.ts'
import type { WireProgress } from '../pull/enbi-messages.ts'
import { createJsonView } from './json-view.ts'
import { createLineView } from './line-view.ts'
import { createLiveView } from './live-view.ts'
import { isRedrawable } from './redrawable.ts'

/** Shows one pull as it happens. */
export interface PullView {
  progress(progress: WireProgress): void
  done(imageId: string): void
  /** What is told of it besides is the command's. */
  failed(error: ShimError): void
  /** Leaves the terminal as it was found. */
  close(): void
}

export interface PullViewOptions {
  readonly image: string
  readonly output: { write(text: string): boolean }
}

export interface TerminalOptions extends PullViewOptions {
  readonly output: NodeJS.WriteStream
}

/** JSON when asked for, a live view on a terminal, plain lines elsewhere. */
export function createPullView(options: TerminalOptions & { json: boolean }): PullView {
  if (options.json) return createJsonView(options)
  return isRedrawable(options.output) ? createLiveView(options) : createLineView(options)
}
