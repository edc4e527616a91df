import { setImmediate } from 'node:timers/promises'
import * as v from 'valibot'
import { messageOf, RetryableError, reviveError, toShimError } from '../../lib/errors.ts'
import { createHelperPool, HelperFailed, type HelperPool, type Send } from '../../lib/process/helper-pool.ts'
import { answerParts } from './helper/closure-query.ts'
import { IMPORT_LIMIT_MS } from './helper/leases.ts'
import {
  IMPORT_HELPER,
  type ImportJob,
  type ImportMessage,
  type ImportReport,
  reportSchema,
} from './helper/messages.ts'
import type { ImportCall, ImportOutcome, LinkingReport, QueryClosure } from './image/contract.ts'

/** Runs each import in a helper process. */
export interface ImportHelpers {
  /** Throws a ShimError. */
  runImport(job: ImportJob, handlers: ImportHandlers): Promise<ImportOutcome>
}

export interface ImportHandlers extends Pick<ImportCall, 'signal' | 'onProgress'> {
  readonly queryClosure: QueryClosure
  readonly onLinking: (linking: LinkingReport) => void
  /** Called once the import's lease is gone. */
  readonly onLeaseEnded: () => void
}

/** Limits of JavaScript objects, which the bytes of documents and layers are not. */
const NODE_FLAGS = ['--max-old-space-size=96', '--max-semi-space-size=1', '--v8-pool-size=1', '--expose-gc']
/**
 * Threads count, too. V8 reserves 512 MiB for code, and uses a few of them; 759 MiB is the most that an import has needed, of an
 * archive in zstd with a window of 128 MiB (2026-11-26).
 */
const DATA_LIMIT_KIB = 1024 * 1024
/** A cancelled import has this long to clean up. */
const GRACE_MS = 20_000

export function createImportHelpers(file = IMPORT_HELPER): ImportHelpers {
  const limits = { nodeFlags: NODE_FLAGS, arenas: 2, dataLimitKib: DATA_LIMIT_KIB }
  const pool = createHelperPool({ file, ...limits, graceMs: GRACE_MS, isReused: true })
  return { runImport: (job, handlers) => runInHelper(pool, job, handlers) }
}

async function runInHelper(pool: HelperPool, job: ImportJob, handlers: ImportHandlers): Promise<ImportOutcome> {
  const late = AbortSignal.timeout(IMPORT_LIMIT_MS)
  const onReport = (report: ImportReport, send: Send) => {
    if (report.kind === 'done') return report.image
    if (report.kind === 'program') return { program: report.program }
    if (report.kind === 'failed') throw reviveError(report.code, report.message, report.stack)
    if (report.kind === 'progress') handlers.onProgress(report.progress)
    else if (report.kind === 'leaseEnded') handlers.onLeaseEnded()
    else if (report.kind === 'linking') handlers.onLinking(report)
    else void answerQuery(send, report, job, handlers)
    return undefined
  }
  try {
    const parse = (report: unknown) => v.parse(reportSchema, report)
    return await pool.run({ job, signal: AbortSignal.any([handlers.signal, late]), parse, onReport })
  } catch (error) {
    if (late.aborted) throw interrupted(`it took longer than ${IMPORT_LIMIT_MS / 60_000} minutes`, error)
    throw error instanceof HelperFailed ? interrupted(`its process ${messageOf(error)}`, error) : error
  }
}

type Query = Extract<ImportReport, { kind: 'query' }>

async function answerQuery(
  send: (message: ImportMessage) => Promise<void>,
  { id, storePath }: Query,
  job: ImportJob,
  { queryClosure, signal }: ImportHandlers,
): Promise<void> {
  try {
    const infos = await queryClosure(storePath, { signal })
    for (const part of answerParts(infos, { id, references: isMadeOfPackages(job) })) {
      await send(part)
      // Lets calls pass through between two parts.
      await setImmediate()
    }
  } catch (error) {
    const { code, message } = toShimError(error)
    await send({ kind: 'queryFailed', id, code, message })
  }
}

/** Whether layers are chosen by which paths refer to which. */
function isMadeOfPackages({ plainPackage, packageSet }: ImportJob): boolean {
  return plainPackage !== undefined || packageSet !== undefined
}

function interrupted(how: string, cause: unknown): RetryableError {
  return new RetryableError('ImportInterrupted', `the import broke off: ${how}`, { cause })
}
