import type { BuildProgress } from './contract.ts'

/** Often enough for eyes. */
const INTERVAL_MS = 250
/** Entries of one batch, the newest, and characters of their lines. */
const MAX_ENTRIES = 50
const MAX_LENGTH = 65_536

export interface ProgressBatches {
  push(progress: BuildProgress): void
  /** Tells what there is at once. */
  flush(): void
}

/** Tells the newest of what goes on, and how many lines of a log were left out, a few times a second. */
export function createProgressBatches(tell: (batch: readonly BuildProgress[]) => void): ProgressBatches {
  let batch: BuildProgress[] = []
  let length = 0
  let lost = 0
  let toldAt = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined
  const drop = () => {
    const oldest = batch.shift()
    if (oldest?.phase !== 'log') return
    length -= oldest.line.length
    lost += 1
  }
  const flush = () => {
    clearTimeout(timer)
    timer = undefined
    if (batch.length === 0) return
    tell(lost === 0 ? batch : [leftOut(lost), ...batch])
    toldAt = performance.now()
    batch = []
    length = 0
    lost = 0
  }
  return {
    push(progress) {
      batch.push(progress)
      if (progress.phase === 'log') length += progress.line.length
      while (batch.length > MAX_ENTRIES || length > MAX_LENGTH) drop()
      timer ??= setTimeout(flush, Math.max(0, toldAt + INTERVAL_MS - performance.now()))
    },
    flush,
  }
}

function leftOut(lines: number): BuildProgress {
  return { phase: 'log', line: `… ${lines} lines, which only the log file has …` }
}
