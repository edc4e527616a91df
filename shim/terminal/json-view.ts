import type { PullView, PullViewOptions } from './pull-view.ts'

/** `{"phase":…,"done":…,"expected":…,"text":…}` a line, the last one `{"phase":"done","imageId":…}`. */
export function createJsonView({ image, output }: PullViewOptions): PullView {
  const write = (value: object) => output.write(`${JSON.stringify(value)}\n`)
  return {
    progress: write,
    done: imageId => write({ phase: 'done', image, imageId }),
    close() {},
  }
}
