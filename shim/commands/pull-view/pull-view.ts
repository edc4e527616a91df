import type { ShimError } from '../../../lib/errors.ts'
import type { WireProgress } from '../../wire/pulls.ts'

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
