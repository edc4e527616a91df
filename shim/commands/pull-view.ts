import { ShimError } from '../../lib/errors.ts'
import type { WireProgress } from '../wire/pulls.ts'

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

/** `{"phase":…,"done":…,"expected":…,"text":…}` a line, the last one `{"phase":"done","imageId":…}` or `{"phase":"failed","code":…,"retryable":…,"message":…}`. */
export function createJsonView({ image, output }: PullViewOptions): PullView {
  const write = (value: object) => output.write(`${JSON.stringify(value)}\n`)
  return {
    progress: write,
    done: imageId => write({ phase: 'done', image, imageId }),
    failed(error) {
      const { code, retryable, message } =
        error.code === 'PullFailed' && error.cause instanceof ShimError ? error.cause : error
      write({ phase: 'failed', image, code, retryable, message })
    },
    close() {},
  }
}
