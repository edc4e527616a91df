import type { ChildProcess } from 'node:child_process'
import { setImmediate } from 'node:timers/promises'
import * as v from 'valibot'
import { messageOf, RetryableError, reviveError, toShimError } from '../../lib/errors.ts'
import { answerParts } from './helper/closure-query.ts'
import { IMPORT_LIMIT_MS } from './helper/leases.ts'
import { type ImportJob, type ImportOrder, type ImportReport, reportSchema } from './helper/messages.ts'
import type { ImportCall, ImportOutcome, LinkingReport, QueryClosure } from './image/contract.ts'

/** A cancelled import has this long to clean up before it is killed. */
const CANCEL_GRACE_MS = 20_000
/** A killed process ends immediately unless it hangs in the kernel. */
const END_LIMIT_MS = 5_000

export interface WorkerRun extends Pick<ImportCall, 'signal' | 'onProgress'> {
  readonly queryClosure: QueryClosure
  readonly onLinking: (linking: LinkingReport) => void
  /** Called once the import's lease is gone. */
  readonly onLeaseEnded: () => void
}

/** Has a worker process run an import. Throws a ShimError. */
export function runWorker(worker: ChildProcess, job: ImportJob, run: WorkerRun): Promise<ImportOutcome> {
  const { signal, onProgress, onLinking, onLeaseEnded } = run
  return new Promise<ImportOutcome>((resolve, reject) => {
    let crash: unknown
    const timers: NodeJS.Timeout[] = []
    const cancel = () => {
      void send(worker, { kind: 'cancel' })
      timers.push(setTimeout(kill, CANCEL_GRACE_MS))
    }
    const kill = () => {
      worker.kill('SIGKILL')
      timers.push(setTimeout(giveUp, END_LIMIT_MS))
    }
    const giveUp = () => {
      crash ??= new Error('its process cannot be ended; check whether a disk of the node hangs')
      end(undefined)
    }
    const expire = () => {
      crash = new Error(`it took longer than ${IMPORT_LIMIT_MS / 60_000} minutes`)
      cancel()
    }
    const onMessage = (message: unknown) => {
      const parsed = v.safeParse(reportSchema, message)
      if (!parsed.success) return kill()
      const report = parsed.output
      if (report.kind === 'progress') onProgress(report.progress)
      else if (report.kind === 'leaseEnded') onLeaseEnded()
      else if (report.kind === 'linking') onLinking(report)
      else if (report.kind === 'query') void answerQuery(worker, report, job, run)
      else end(report)
    }
    const onError = (error: unknown) => {
      crash = error
      // A process that could not be started does not exit.
      if (worker.pid === undefined) end(undefined)
    }
    const onExit = (_code: number | null, killedBy: string | null) => {
      crash ??= killedBy === null ? undefined : new Error(`its process was ended by ${killedBy}`)
      end(undefined)
    }
    const end = (last: LastReport | undefined) => {
      timers.forEach(clearTimeout)
      signal.removeEventListener('abort', cancel)
      worker.off('message', onMessage).off('error', onError).off('exit', onExit)
      if (last?.kind === 'done') return resolve(last.image)
      if (last?.kind === 'program') return resolve({ program: last.program })
      reject(last && crash === undefined ? reviveError(last.code, last.message, last.stack) : interrupted(crash))
    }
    worker.on('message', onMessage).on('error', onError).on('exit', onExit)
    timers.push(setTimeout(expire, IMPORT_LIMIT_MS))
    void send(worker, { kind: 'import', job })
    signal.addEventListener('abort', cancel, { once: true })
    if (signal.aborted) cancel()
  })
}

type Query = Extract<ImportReport, { kind: 'query' }>
type LastReport = Extract<ImportReport, { kind: 'done' | 'program' | 'failed' }>

async function answerQuery(
  worker: ChildProcess,
  { id, storePath }: Query,
  job: ImportJob,
  { queryClosure, signal }: WorkerRun,
): Promise<void> {
  try {
    const infos = await queryClosure(storePath, { signal })
    for (const part of answerParts(infos, { id, references: isMadeOfPackages(job) })) {
      await send(worker, part)
      // Lets calls pass through between two parts.
      await setImmediate()
    }
  } catch (error) {
    const { code, message } = toShimError(error)
    await send(worker, { kind: 'queryFailed', id, code, message })
  }
}

/** Whether layers are chosen by which paths refer to which. */
function isMadeOfPackages({ plainPackage, packageSet }: ImportJob): boolean {
  return plainPackage !== undefined || packageSet !== undefined
}

/** Resolves once the message is sent, and also when the worker has ended, which its exit reports. */
function send(worker: ChildProcess, message: ImportOrder): Promise<void> {
  return new Promise(resolve => worker.send(message, () => resolve()))
}

function interrupted(cause: unknown): RetryableError {
  const detail = cause === undefined ? 'its process ended' : messageOf(cause)
  return new RetryableError('ImportInterrupted', `the import broke off: ${detail}`, { cause })
}
