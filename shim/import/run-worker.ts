import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import * as v from 'valibot'
import { messageOf, RetryableError, reviveError } from '../errors.ts'
import { signalGroup } from '../process-group.ts'
import type { ImportCall, ImportedImage } from './contract.ts'
import { CANCEL, type ImportJob, type ImportReport, reportSchema } from './job.ts'
import { IMPORT_LIMIT_MS } from './under-lease.ts'

/** The same file, as source or compiled. */
const WORKER = new URL(`./worker${extname(import.meta.url)}`, import.meta.url)
/** For JavaScript objects; the bytes of layers are not among them. */
const WORKER_LIMITS = { maxOldGenerationSizeMb: 96 }
/** A cancelled import cleans up behind itself within this, or is ended. */
const CANCEL_GRACE_MS = 20_000

export interface WorkerRun extends Pick<ImportCall, 'signal' | 'onProgress'> {
  readonly onStaleLeasesEnded: () => void
}

/** Runs an import in a thread of its own and resolves once that has ended. Throws a ShimError. */
export function runWorker(job: ImportJob, { signal, onProgress, onStaleLeasesEnded }: WorkerRun) {
  return new Promise<ImportedImage>((resolve, reject) => {
    const worker = new Worker(WORKER, { workerData: job, resourceLimits: WORKER_LIMITS, name: 'import' })
    let last: Outcome | undefined
    let crash: unknown
    let script: number | undefined
    const timers: NodeJS.Timeout[] = []
    const cancel = () => {
      worker.postMessage(CANCEL)
      timers.push(setTimeout(() => worker.terminate(), CANCEL_GRACE_MS))
    }
    const expire = () => {
      crash = new Error(`it took longer than ${IMPORT_LIMIT_MS / 60_000} minutes`)
      cancel()
    }
    timers.push(setTimeout(expire, IMPORT_LIMIT_MS))
    signal.addEventListener('abort', cancel, { once: true })
    if (signal.aborted) cancel()

    worker.on('message', message => {
      const report = v.parse(reportSchema, message)
      if (report.kind === 'progress') onProgress(report.progress)
      else if (report.kind === 'script') script = report.pid
      else if (report.kind === 'staleLeasesEnded') onStaleLeasesEnded()
      else last = report
    })
    worker.on('error', error => {
      crash = error
    })
    worker.on('exit', () => {
      timers.forEach(clearTimeout)
      signal.removeEventListener('abort', cancel)
      if (last?.kind === 'done') return resolve(last.image)
      // A thread that crashed has left its stream script running.
      if (last === undefined && script !== undefined) signalGroup(script, 'SIGKILL')
      reject(last && crash === undefined ? revive(last) : crashed(crash))
    })
  })
}

type Outcome = Extract<ImportReport, { kind: 'done' | 'failed' }>
type Failure = Extract<ImportReport, { kind: 'failed' }>

function revive({ code, message, stack }: Failure): Error {
  const error = reviveError(code, message)
  if (stack !== undefined) error.stack = stack
  return error
}

function crashed(cause: unknown): RetryableError {
  const detail = cause === undefined ? 'its thread ended' : messageOf(cause)
  return new RetryableError('ImportInterrupted', `the import broke off: ${detail}`, { cause })
}
