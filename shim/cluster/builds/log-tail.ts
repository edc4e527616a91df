import { copyStart } from '../../../lib/text/text.ts'

/** The last lines of a log, at most 4 KiB. */
export interface LogTail {
  push(line: string): void
  /** Empty if there are no lines. */
  text(): string
}

/** In bytes, with a byte for the end of each line. The limit of the CRD is in characters. */
const MAX_TAIL = 4096
/** In characters: one line leaves room for others. */
const MAX_LINE_LENGTH = 500

export function createLogTail(): LogTail {
  const lines: string[] = []
  let bytes = 0
  return {
    push(line) {
      const kept = copyStart(line, MAX_LINE_LENGTH)
      lines.push(kept)
      bytes += sizeOf(kept)
      while (bytes > MAX_TAIL) bytes -= sizeOf(lines.shift() ?? '')
    },
    text: () => lines.join('\n'),
  }
}

function sizeOf(line: string): number {
  return Buffer.byteLength(line) + 1
}
