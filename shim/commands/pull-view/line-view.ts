import { describeDuration, describeProgress } from '../../status/describe.ts'
import type { WireProgress } from '../../wire/pulls.ts'
import type { PullView, PullViewOptions } from '../pull-view.ts'

/** Bytes that have to come in before another line tells of them. */
const BYTES_A_LINE = 50_000_000

/** Lines of builders that are shown; a program may write tens of thousands, and the log on the node has them all. */
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

function isWorthALine(progress: WireProgress, last: WireProgress | undefined): boolean {
  if (progress.phase !== last?.phase) return true
  const countsBytes = progress.phase === 'importing' || progress.phase === 'fetching'
  if (countsBytes) return progress.done - last.done >= BYTES_A_LINE
  // How many there are becomes known bit by bit.
  if (progress.phase === 'building') return progress.done !== last.done || progress.text !== last.text
  return describeProgress(progress) !== describeProgress(last)
}
