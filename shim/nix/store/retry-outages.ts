import { pause, retry } from '../../../lib/async/retry.ts'
import { messageOf, RetryableError, ShimError } from '../../../lib/errors.ts'
import { pingDaemon } from './daemon-connection.ts'

export interface OutageOptions {
  /** Socket of the Nix daemon; undefined if there is none. */
  readonly socket: string | undefined
  readonly signal: AbortSignal
  /** Called once, before the first wait. */
  readonly onWait: (limitMs: number) => void
  /** Limit for all waits together. */
  readonly limitMs?: number | undefined
}

/**
 * Calls `attempt`, and again after each outage of the Nix daemon once the daemon answers. Throws the error of the last attempt, which
 * also says how long the wait was.
 */
export type RetryOutages = <Result>(attempt: () => Promise<Result>) => Promise<Result>

/** A daemon restarts within two seconds, during an update of the machine within ten. */
const LIMIT_MS = 20_000
/** The request itself may crash the daemon each time. */
const MAX_OUTAGES = 3
/** A daemon that is about to end may still answer. */
const PAUSE_MS = { first: 200, most: 1_600 }

/** Create one for each piece of work: its waits share one limit. */
export function createOutageRetry({ socket, signal, onWait, limitMs = LIMIT_MS }: OutageOptions): RetryOutages {
  let leftMs = limitMs

  async function untilBack(path: string): Promise<boolean> {
    const startedAt = performance.now()
    const restMs = () => Math.max(0, startedAt + leftMs - performance.now())
    const isOver = () => signal.aborted || restMs() === 0
    let isBack = false
    for (let ms = PAUSE_MS.first; !isBack && !isOver(); ms = Math.min(ms * 2, PAUSE_MS.most)) {
      await pause(Math.min(ms, restMs()), signal)
      isBack = !isOver() && (await isAnswering(path, signal))
    }
    leftMs -= performance.now() - startedAt
    return isBack
  }

  async function beforeNext(outages: number, error: unknown): Promise<void> {
    if (outages === 1) onWait(limitMs)
    const isBack = outages < MAX_OUTAGES && socket !== undefined && (await untilBack(socket))
    // If aborted, the next attempt throws the right error.
    if (!isBack && !signal.aborted) throw addWaitedTime(error, limitMs - leftMs)
  }

  const isTemporary = (error: unknown) => isDaemonAway(error) && socket !== undefined && !signal.aborted
  return attempt => retry(attempt, { isTemporary, beforeNext })
}

function isDaemonAway(error: unknown): boolean {
  return error instanceof ShimError && error.code === 'NixDaemonAway'
}

async function isAnswering(socket: string, signal: AbortSignal): Promise<boolean> {
  try {
    await pingDaemon(socket, signal)
    return true
  } catch {
    return false
  }
}

function addWaitedTime(cause: unknown, waitedMs: number): RetryableError {
  const seconds = Number((waitedMs / 1000).toFixed(1))
  return new RetryableError('NixDaemonAway', `${messageOf(cause)} (waited ${seconds} s for it)`, { cause })
}
