import * as v from 'valibot'

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const name = v.pipe(v.string(), v.maxLength(255))
const url = v.pipe(v.string(), v.maxLength(2048))

/** Progress of a build. Numbers only grow; `building`, `fetching`, `waiting` and `copying` may alternate. */
export const buildProgressSchema = v.variant('phase', [
  v.object({ phase: v.literal('queued'), ahead: count }),
  /** The run with this id, which also names its log, has started. Told again once the content of an unlocked flake is known. */
  v.object({ phase: v.literal('evaluating'), runId: name, lockedFlakeUrl: v.exactOptional(url) }),
  /** `done` of `expected` derivations are built; `current` is the name of one that is being built. */
  v.object({ phase: v.literal('building'), done: count, expected: count, current: v.exactOptional(name) }),
  /** Bytes of flake inputs, and from binary caches. */
  v.object({ phase: v.literal('fetching'), doneBytes: count, expectedBytes: count }),
  /** Another node builds it: `progress` is what that node says. */
  v.object({ phase: v.literal('waiting'), node: name, progress: name }),
  /** From the binary cache of a node or a store, `from`. */
  v.object({ phase: v.literal('copying'), from: name, doneBytes: count, expectedBytes: count }),
  /** One line of a builder's log, without terminal escapes. */
  v.object({ phase: v.literal('log'), line: v.pipe(v.string(), v.maxLength(4096)) }),
])
export type BuildProgress = Readonly<v.InferOutput<typeof buildProgressSchema>>

/** Often enough for people who watch. */
const INTERVAL_MS = 250
/** Limits of the log lines in one batch, and of their characters. */
const MAX_LINES = 50
const MAX_LENGTH = 65_536

export interface ProgressBatches {
  push(progress: BuildProgress): void
  /** Reports the pending batch now. */
  flush(): void
}

/** Reports, a few times a second, the latest of each phase, the newest log lines, and how many lines were left out. */
export function createProgressBatches(report: (batch: readonly BuildProgress[]) => void): ProgressBatches {
  let batch: BuildProgress[] = []
  let lines = 0
  let length = 0
  let lost = 0
  let reportedAt = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined
  const dropLine = () => {
    const index = batch.findIndex(({ phase }) => phase === 'log')
    const [oldest] = batch.splice(index, 1)
    if (oldest?.phase === 'log') length -= oldest.line.length
    lines -= 1
    lost += 1
  }
  const flush = () => {
    clearTimeout(timer)
    timer = undefined
    if (batch.length === 0) return
    report(lost === 0 ? batch : [leftOut(lost), ...batch])
    reportedAt = performance.now()
    batch = []
    lines = 0
    length = 0
    lost = 0
  }
  return {
    push(progress) {
      if (progress.phase === 'log') {
        lines += 1
        length += progress.line.length
      } else {
        batch = batch.filter(({ phase }) => phase !== progress.phase)
      }
      batch.push(progress)
      while (lines > MAX_LINES || length > MAX_LENGTH) dropLine()
      timer ??= setTimeout(flush, Math.max(0, reportedAt + INTERVAL_MS - performance.now()))
    },
    flush,
  }
}

function leftOut(lines: number): BuildProgress {
  return { phase: 'log', line: `… ${lines} lines, which only the log file has …` }
}
