import type { OwnLogFiles } from './own-log-files.ts'

/** A log that is opened again some time after it failed or was removed, and then says how many lines are missing. */
export interface LastingLog {
  /** Opens the log if it is not open. Never throws. */
  append(text: string): Promise<void>
  /** The next `append` opens the log, even right after a failure. */
  retryNow(): void
  close(): Promise<void>
}

export interface LastingLogOptions {
  readonly open: () => Promise<OwnLogFiles>
  /** Shortest time between a failure and the next attempt. */
  readonly retryMs: number
  readonly onFailure: (error: unknown) => void
}

export function createLastingLog({ open, retryMs, onFailure }: LastingLogOptions): LastingLog {
  let files: OwnLogFiles | undefined
  let retryAt = Number.NEGATIVE_INFINITY
  /** Lines in the file and in the one before it, which go if somebody removes these. */
  let written = 0
  let previous = 0
  let lost = 0

  async function write(text: string): Promise<void> {
    if (await files?.isRemoved()) await close()
    files ??= await reopen()
    const whole = lost === 0 ? text : missing(lost) + text
    if (whole !== '') {
      if (await files.makeRoom(whole)) {
        previous = written
        written = 0
      }
      await files.append(whole)
    }
    written += lost + linesIn(text)
    lost = 0
  }

  async function reopen(): Promise<OwnLogFiles> {
    const opened = await open()
    if (opened.isNew) {
      lost += written
      written = 0
    }
    if (!opened.hasPrevious) {
      lost += previous
      previous = 0
    }
    return opened
  }

  async function close(): Promise<void> {
    const closed = files
    files = undefined
    await closed?.close().catch(() => {})
  }

  return {
    async append(text) {
      const isPaused = performance.now() < retryAt
      try {
        if (!isPaused) return await write(text)
      } catch (error) {
        retryAt = performance.now() + retryMs
        await close()
        onFailure(error)
      }
      lost += linesIn(text)
    },
    retryNow() {
      retryAt = Number.NEGATIVE_INFINITY
    },
    close,
  }
}

function linesIn(text: string): number {
  return text.split('\n').length - 1
}

function missing(lines: number): string {
  return `… ${lines} ${lines === 1 ? 'line is' : 'lines are'} missing here because the log could not be written, or was removed …\n`
}
