import type { ChildProcess } from 'node:child_process'
import { setImmediate } from 'node:timers/promises'
import * as v from 'valibot'
import { messageOf, RetryableError, reviveError, toShimError } from '../../../lib/errors.ts'
import type { ImportCall, ImportOutcome, LinkingReport, QueryClosure } from '../image/contract.ts'
import { answerParts } from './closure-query.ts'
import { IMPORT_LIMIT_MS } from './leases.ts'
import { type ImportJob, type ImportOrder, type ImportReport, reportSchema } from './messages.ts'

/** A cancelled import cleans up behind itself within this, or is ended. */
const CANCEL_GRACE_MS = 20_000
/** A process that is ended is gone in no time, unless the kernel waits for something in its name. */
const END_LIMIT_MS = 5_000

export interface WorkerRun extends Pick<ImportCall, 'signal' | 'onProgress'> {
  readonly queryClosure: QueryClosure
  readonly onLinking: (linking: LinkingReport) => void
  /** The import's lease is gone. */
  readonly onLeaseEnded: () => void
}

/** Has a helper process run an import. Throws a ShimError. */
export function runWorker(worker: ChildProcess, job: ImportJob, run: WorkerRun): Promise<ImportOutcome> {
  const { signal, onProgress, onLinking, onLeaseEnded } = run
  return new Promise<ImportOutcome>((resolve, reject) => {
    let crash: unknown
    const timers: NodeJS.Timeout[] = []
    const order = (message: ImportOrder) => void send(worker, message)
    const answer = async ({ id, storePath }: Query) => {
      try {
        const infos = await run.queryClosure(storePath, { signal })
        for (const part of answerParts(infos, { id, references: isMadeOfPackages(job) })) {
          await send(worker, part)
          // Calls pass through between two of them.
          await setImmediate()
        }
      } catch (error) {
        const { code, message } = toShimError(error)
        order({ kind: 'queryFailed', id, code, message })
      }
    }
    const cancel = () => {
      order({ kind: 'cancel' })
      timers.push(setTimeout(kill, CANCEL_GRACE_MS))
    }
    const kill = () => {
      worker.kill('SIGKILL')
      timers.push(setTimeout(giveUp, END_LIMIT_MS))
    }
    const giveUp = () => {
      crash ??= new Error('its process cannot be ended; look whether a disk of the node hangs')
      end(undefined)
    }
    const expire = () => {
      crash = new Error(`it took longer than ${IMPORT_LIMIT_MS / 60_000} minutes`)
      cancel()
    }
    const told = (message: unknown) => {
      const parsed = v.safeParse(reportSchema, message)
      if (!parsed.success) return kill()
      const report = parsed.output
      if (report.kind === 'progress') onProgress(report.progress)
      else if (report.kind === 'leaseEnded') onLeaseEnded()
      else if (report.kind === 'linking') onLinking(report)
      else if (report.kind === 'query') void answer(report)
      else end(report)
    }
    const failed = (error: unknown) => {
      crash = error
      // It could not be started: no exit follows.
      if (worker.pid === undefined) end(undefined)
    }
    const exited = (_code: number | null, killedBy: string | null) => {
      crash ??= killedBy === null ? undefined : new Error(`its process was ended by ${killedBy}`)
      end(undefined)
    }
    const end = (last: Outcome | undefined) => {
      timers.forEach(clearTimeout)
      signal.removeEventListener('abort', cancel)
      worker.off('message', told).off('error', failed).off('exit', exited)
      if (last?.kind === 'done') return resolve(last.image)
      if (last?.kind === 'program') return resolve({ program: last.program })
      reject(last && crash === undefined ? revive(last) : crashed(crash))
    }
    worker.on('message', told).on('error', failed).on('exit', exited)
    timers.push(setTimeout(expire, IMPORT_LIMIT_MS))
    order({ kind: 'import', job })
    signal.addEventListener('abort', cancel, { once: true })
    if (signal.aborted) cancel()
  })
}

type Query = Extract<ImportReport, { kind: 'query' }>

/** Resolves once the message is on its way, or the helper has ended, which is told by its exit. */
function send(worker: ChildProcess, message: ImportOrder): Promise<void> {
  return new Promise(resolve => worker.send(message, () => resolve()))
}

type Outcome = Extract<ImportReport, { kind: 'done' | 'program' | 'failed' }>
type Failure = Extract<ImportReport, { kind: 'failed' }>

function revive({ code, message, stack }: Failure): Error {
  const error = reviveError(code, message)
  if (stack !== undefined) error.stack = stack
  return error
}

function crashed(cause: unknown): RetryableError {
  const detail = cause === undefined ? 'its process ended' : messageOf(cause)
  return new RetryableError('ImportInterrupted', `the import broke off: ${detail}`, { cause })
}

/** Its layers are chosen by what needs what. */
function isMadeOfPackages({ plainPackage, packageSet }: ImportJob): boolean {
  return plainPackage !== undefined || packageSet !== undefined
}
