import { createHash, randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { maskSecrets } from '../../../lib/text/mask-secrets.ts'
import { createLastingLog } from './lasting-log.ts'
import { makeLogFolder } from './log-folder.ts'
import { maxFileSize, roomForLogs } from './log-room.ts'
import { openOwnLogFiles } from './own-log-files.ts'

/** The complete log of one run. If it cannot be written, the run continues. */
export interface RunLog {
  /** Resolves when more lines can be taken. */
  write(line: string): Promise<void>
  close(): Promise<void>
}

/** For commands that are not part of a run. */
export const NO_LOG: RunLog = { write: async () => {}, close: async () => {} }

/** Lines are written together, because a builder may write tens of thousands a second. In characters. */
const FLUSH_LENGTH = 32_768
const FLUSH_AFTER_MS = 200
/** Shortest time between attempts to write a log that failed. */
const RETRY_MS = 10_000

/** Long enough that a namespace with the same hash cannot be found by trying. */
const ACCOUNT_LENGTH = 20
/** Owners of a shared run that are named. More would make the name too long. */
const MAX_ACCOUNTS = 3

/** Ids sort by time and contain hashes of the owners: `20260131T235959Z-5e6f7a8b9c0d1e2f3a4b-0a1b2c3d`. */
export function createRunId(now: Date, owners: readonly string[]): string {
  const time = now.toISOString().replace(/\.\d+/, '').replace(/[-:]/g, '')
  const accounts = owners.slice(0, MAX_ACCOUNTS).map(accountOf)
  return [time, ...accounts, randomBytes(4).toString('hex')].join('-')
}

function accountOf(owner: string): string {
  return createHash('sha256').update(owner).digest('hex').slice(0, ACCOUNT_LENGTH)
}

/** Opens `<dir>/<runId>.log`, and makes the folder if it is missing. */
export function openRunLog(dir: string, runId: string, logger: Logger, { retryMs = RETRY_MS } = {}): RunLog {
  let isReported = false
  const log = createLastingLog({
    retryMs,
    async open() {
      await makeLogFolder(dir)
      return openOwnLogFiles({ dir, name: `${runId}.log`, maxSize: maxFileSize(await roomForLogs(dir)) })
    },
    onFailure(err) {
      if (!isReported) logger.warn({ err, runId }, 'writing the build log failed')
      isReported = true
    },
  })
  let pending = ''
  let timer: NodeJS.Timeout | undefined
  let writing = log.append('')

  function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const text = pending
    pending = ''
    writing = writing.then(() => log.append(text))
    return writing
  }

  return {
    async write(line) {
      pending += `${maskSecrets(line)}\n`
      timer ??= setTimeout(flush, FLUSH_AFTER_MS)
      if (pending.length >= FLUSH_LENGTH) await flush()
    },
    async close() {
      await writing
      log.retryNow()
      await flush()
      await log.close()
    },
  }
}
