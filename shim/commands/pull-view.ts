import { ShimError } from '../../lib/errors.ts'
import { describeDuration } from '../../lib/text/units.ts'
import { describeProgress, type WireProgress } from '../wire/progress.ts'

/** Shows one pull as it happens. */
export interface PullView {
  progress(progress: WireProgress): void
  done(imageId: string): void
  /** The command itself reports the error. */
  failed(error: ShimError): void
  /** Restores the terminal. */
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

/** Lines of builders that are shown; a program may write tens of thousands, and the log on the node has all of them. */
const MAX_LOG_LINES = 200

/** A line for every step, with the time since the pull began. */
export function createLineView({ image, output }: PullViewOptions): PullView {
  const startedAt = performance.now()
  const write = (text: string) =>
    output.write(`${describeDuration(performance.now() - startedAt).padStart(8)}  ${text}\n`)
  let last: WireProgress | undefined
  let logLines = 0
  const writeLog = (text: string) => {
    logLines += 1
    if (logLines <= MAX_LOG_LINES) output.write(`          | ${text}\n`)
  }
  const writeRest = () => {
    const rest = logLines - MAX_LOG_LINES
    if (rest > 0) output.write(`          | … and ${rest} more, which are in the log on the node\n`)
    logLines = 0
  }
  return {
    progress(progress) {
      if (progress.phase === 'log') return writeLog(progress.text)
      if (isWorthALine(progress, last)) {
        write(describeProgress(progress))
        last = progress
      }
    },
    done(imageId) {
      writeRest()
      write(`${image} is ${imageId}`)
    },
    failed: writeRest,
    close() {},
  }
}

/** Bytes of progress between two lines. */
const BYTES_A_LINE = 50_000_000

function isWorthALine(progress: WireProgress, last: WireProgress | undefined): boolean {
  if (progress.phase !== last?.phase) return true
  const countsBytes = progress.phase === 'importing' || progress.phase === 'fetching'
  if (countsBytes) return progress.done - last.done >= BYTES_A_LINE
  // Nix discovers builds as it proceeds, so that their number alone is no progress.
  if (progress.phase === 'building') return progress.done !== last.done || progress.text !== last.text
  return describeProgress(progress) !== describeProgress(last)
}
