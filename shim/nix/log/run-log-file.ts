import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { createStream } from 'rotating-file-stream'
import { findFairExcess } from '../../../lib/queues/fair-excess.ts'
import { maskSecrets } from '../../../lib/text/mask-secrets.ts'

/** The complete log of one run. If it cannot be written, the run continues. */
export interface RunLog {
  /** Resolves when more lines can be taken. */
  write(line: string): Promise<void>
  close(): Promise<void>
}

/** For commands that are not part of a run. */
export const NO_LOG: RunLog = { write: async () => {}, close: async () => {} }

/** Larger logs are rotated: `RUN.log`, and `RUN.log.1` with what came before. */
const MAX_FILE_SIZE = '16M'
/** Limit for all runs together, shared fairly between namespaces. */
const ROOM = { count: 400, bytes: 1024 ** 3 }

/** Lines are written together, because a builder may write tens of thousands a second. In characters. */
const FLUSH_LENGTH = 32_768
const FLUSH_AFTER_MS = 200

const LOG_NAME = /^((\d{8})T(\d{6})Z((?:-[0-9a-f]{20}){0,3})-[0-9a-f]{8})\.log(?:\.1)?$/

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
  /** Returns false if the stream's buffer is full. */
  const flush = (): boolean => {
    clearTimeout(timer)
    timer = undefined
    const text = pending
    pending = ''
    return broken || text === '' || stream.write(text)
  }
  return {
    async write(line) {
      pending += `${maskSecrets(line)}\n`
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

/** Removes logs beyond a number and a total size: the oldest logs of the namespaces that have the most. */
export async function pruneRunLogs(dir: string): Promise<void> {
  for (const { names } of findFairExcess(await listLogs(dir), ROOM))
    for (const name of names) await rm(join(dir, name), { force: true })
}

interface RunFiles {
  readonly names: string[]
  readonly owners: readonly string[]
  readonly usedAt: number
  bytes: number
}

async function listLogs(dir: string): Promise<RunFiles[]> {
  const runs = new Map<string, RunFiles>()
  for (const name of await readdir(dir)) {
    const [, runId, date, time, accounts = ''] = LOG_NAME.exec(name) ?? []
    if (runId === undefined) continue
    const owners = accounts.split('-').slice(1)
    const run = runs.get(runId) ?? { names: [], owners, usedAt: Number(`${date}${time}`), bytes: 0 }
    run.names.push(name)
    // Another run may remove it at the same time.
    run.bytes += (await stat(join(dir, name)).catch(() => ({ size: 0 }))).size
    runs.set(runId, run)
  }
  return [...runs.values()]
}
