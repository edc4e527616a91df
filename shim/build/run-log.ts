import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { createStream } from 'rotating-file-stream'

/** The whole log of one run. It is of use, but no run fails for it. */
export interface RunLog {
  /** Resolves when more can be taken. */
  write(line: string): Promise<void>
  close(): Promise<void>
}

/** Of a log that grows without end, the last one or two of these remain: `RUN.log` and, before it, `RUN.log.1`. */
const MAX_FILE_SIZE = '16M'
const MAX_FILES = 400
const MAX_TOTAL_BYTES = 1024 ** 3

/** One write for many lines: a builder may write tens of thousands a second. In characters. */
const FLUSH_LENGTH = 32_768
const FLUSH_AFTER_MS = 200

const LOG_NAME = /^\d{8}T\d{6}Z-[0-9a-f]{8}\.log(?:\.1)?$/

/** Ids sort by time: `20260131T235959Z-0a1b2c3d`. */
export function createRunId(now: Date): string {
  const time = now.toISOString().replace(/\.\d+/, '').replace(/[-:]/g, '')
  return `${time}-${randomBytes(4).toString('hex')}`
}

/** Opens `<dir>/<runId>.log`. */
export function openRunLog(dir: string, runId: string, logger: Logger): RunLog {
  const name = `${runId}.log`
  const stream = createStream(index => (index ? `${name}.1` : name), {
    path: dir,
    size: MAX_FILE_SIZE,
    rotate: 1,
    mode: 0o640,
  })
  let broken = false
  const closed = new Promise<void>(resolve => stream.once('close', resolve))
  stream.on('error', err => {
    if (!broken) logger.warn({ err, runId }, 'writing the build log failed')
    broken = true
    stream.destroy()
  })

  let pending = ''
  let timer: NodeJS.Timeout | undefined
  /** False when the stream has enough for now. */
  const flush = (): boolean => {
    clearTimeout(timer)
    timer = undefined
    const text = pending
    pending = ''
    return broken || text === '' || stream.write(text)
  }
  return {
    async write(line) {
      pending += `${line}\n`
      timer ??= setTimeout(flush, FLUSH_AFTER_MS)
      if (pending.length < FLUSH_LENGTH || flush()) return
      await Promise.race([once(stream, 'drain').catch(() => {}), closed])
    },
    async close() {
      flush()
      stream.end()
      await closed
    },
  }
}

/** Removes the oldest logs beyond a number and a total size. */
export async function pruneRunLogs(dir: string): Promise<void> {
  const names = (await readdir(dir))
    .filter(name => LOG_NAME.test(name))
    .sort()
    .reverse()
  let total = 0
  for (const [index, name] of names.entries()) {
    const path = join(dir, name)
    // Another run may do the same at this moment.
    total += (await stat(path).catch(() => ({ size: 0 }))).size
    if (index >= MAX_FILES || total > MAX_TOTAL_BYTES) await rm(path, { force: true })
  }
}
