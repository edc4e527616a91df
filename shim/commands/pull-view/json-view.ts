import { ShimError } from '../../../lib/errors.ts'
import type { PullView, PullViewOptions } from './pull-view.ts'

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
